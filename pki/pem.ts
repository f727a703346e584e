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

/** `X509` is an old label (RFC 7468 §5.1), `TRUSTED` that of `openssl x509 -trustout`, which appends its own settings. */
const CERTIFICATE_BLOCK =
  /-----BEGIN (?:X509 |(TRUSTED ))?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g

/**
 * DER of every certificate in a text, in order; whatever else stands between them is passed over. None where a block
 * begins and never ends, which hides what is meant. Throws where the text is too long.
 */
export function certificateBlocks(text: string): Buffer[] {
  if (text.length > PEM_BYTES_MAX) throw new RangeError(`PEM longer than ${PEM_BYTES_MAX} characters`)
  const begun = text.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/g)?.length ?? 0
  const blocks = [...text.matchAll(CERTIFICATE_BLOCK)].map(([, trusted, body]) => {
    const der = Buffer.from(body ?? '', 'base64')
    return trusted === undefined ? der : firstElement(der)
  })
  return blocks.length === begun ? blocks : []
}

/** The outermost element of DER without what follows it; all of it where its length is in no form of a certificate's. */
function firstElement(der: Buffer): Buffer {
  const long = der[1] === 0x81 || der[1] === 0x82 ? der[1] - 0x80 : 0
  if (long === 0 || der.length < 2 + long) return der
  return der.subarray(0, 2 + long + der.readUIntBE(2, long))
}

/** One PEM block with lines of 64 characters and a final newline. */
export function toPem(der: Buffer, label: string): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
