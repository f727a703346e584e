// The SHA-256 of a certificate, short enough to read; all of it is copied.
import { CopyButton } from './copy-button.tsx'

export function Fingerprint({ of, what = 'fingerprint' }: { of: string; what?: string }) {
  return (
    <span className="fingerprint">
      <span title={of}>{of.length > 20 ? `${of.slice(0, 12)}…${of.slice(-4)}` : of}</span>
      <CopyButton text={of} label={`Copy ${what}`} />
    </span>
  )
}
