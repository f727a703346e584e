// PEM text, pasted or from a file that is dropped.
import { useState } from 'react'
import { Field } from './field.tsx'
import { FileDrop } from './file-drop.tsx'
import { FailureNotice } from './notice.tsx'

const BYTES_MAX = 64 * 1024

export function PemField({
  label,
  hint,
  fault,
  value,
  accept = '.pem,.crt,.cer',
  onChange,
}: {
  label: string
  hint?: string
  fault?: string | null
  value: string
  accept?: string
  onChange: (pem: string) => void
}) {
  const [unread, setUnread] = useState<unknown>(null)
  const read = async (file: File) => {
    setUnread(null)
    try {
      if (file.size > BYTES_MAX) throw new Error(`${file.name} is too large for this`)
      onChange(await file.text())
    } catch (error) {
      setUnread(error)
    }
  }
  return (
    <>
      <Field label={label} hint={hint} fault={fault} wide>
        {link => (
          <textarea
            {...link}
            className="mono"
            rows={4}
            spellCheck={false}
            autoComplete="off"
            value={value}
            onChange={event => onChange(event.target.value)}
          />
        )}
      </Field>
      <FileDrop label={`Or drop a file: ${accept.replaceAll(',', ', ')}`} accept={accept} onFile={read} />
      <FailureNotice failure={unread} />
    </>
  )
}
