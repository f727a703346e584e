// A form field for a line of text that no browser corrects or remembers.
import type { ComponentProps, ReactNode } from 'react'
import { Field } from './field.tsx'

export function TextField({
  label,
  hint,
  fault,
  wide = false,
  onValue,
  ...input
}: Omit<ComponentProps<typeof Field>, 'children'> &
  Omit<ComponentProps<'input'>, 'id' | 'onChange'> & { onValue(value: string): void }): ReactNode {
  return (
    <Field label={label} hint={hint} fault={fault} wide={wide}>
      {link => (
        <input
          spellCheck={false}
          autoComplete="off"
          {...input}
          {...link}
          onChange={event => onValue(event.target.value)}
        />
      )}
    </Field>
  )
}
