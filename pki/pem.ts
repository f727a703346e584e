// PEM in and out (RFC 7468): strict labels, bounded input.

/** The longest PEM text of a CSR or certificate that is read from a request. */
export const CSR_CHARACTERS_MAX = 16 * 1024

export const PEM_BYTES_MAX = 64 * 1024

/** DER of every block with this label, in order. Throws where the text is too long; returns none where none fits. */
export function pemBlocks(text: string, label: string): Buffer[] {
  if (text.length > PEM_BYTES_MAX) throw new RangeError(`PEM longer than ${PEM_BYTES_MAX} characters`)
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g')
  return [...text.matchAll(pattern)].map(match => Buffer.from(match[1] ?? '', 'base64'))
}

/** One PEM block with lines of 64 characters and a final newline. */
export function toPem(der: Buffer, label: string): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
