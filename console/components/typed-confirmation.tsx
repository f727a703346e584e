// The word that somebody types to say that he means it.
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
