// The word that an operator types to confirm.
import { Field } from './field.tsx'

export function TypedConfirmation({
  word,
  typed,
  onType,
}: {
  word: string
  typed: string
  onType: (typed: string) => void
}) {
  return (
    <Field
      label={
        <>
          Type <code>{word}</code> to confirm
        </>
      }
    >
      {link => (
        <input
          {...link}
          autoComplete="off"
          spellCheck={false}
          value={typed}
          onChange={event => onType(event.target.value)}
        />
      )}
    </Field>
  )
}
