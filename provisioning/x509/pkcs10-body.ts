// Bodies that are a bare PKCS #10 request (RFC 2986, RFC 5967): base64 as EST sends it (RFC 8951 §3.1), DER, or PEM.
// Gives what a JSON body would say, so that one validator and one reader check all of them.

import { toPem } from '../../pki/pem.ts'
import type { Api } from '../http/api.ts'
import { Problem } from '../http/problem.ts'
import { x509Problems } from './x509-problems.ts'

export const PKCS10 = 'application/pkcs10'

/** Takes such bodies on the routes of this plugin, as `{ csr }`. */
export function takePkcs10(api: Api): void {
  api.addContentTypeParser(PKCS10, { parseAs: 'buffer' }, (_request, body, done) => {
    const csr = requestIn(body as Buffer)
    if (csr === null)
      done(new Problem(x509Problems, 'csr_invalid', 'csr: the body is neither DER nor PEM nor base64'))
    else done(null, { csr })
  })
}

/** Whether the body of a request was a bare one. */
export function isPkcs10(contentType: string | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === PKCS10
}

function requestIn(bytes: Buffer): string | null {
  const DER_SEQUENCE = 0x30
  if (bytes[0] === DER_SEQUENCE) return toPem(bytes, 'CERTIFICATE REQUEST')
  const text = bytes.toString('latin1')
  if (text.trimStart().startsWith('-----BEGIN ')) return text
  // Any Content-Transfer-Encoding is ignored; line breaks are tolerated.
  const base64 = text.replace(/\s+/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return null
  return toPem(Buffer.from(base64, 'base64'), 'CERTIFICATE REQUEST')
}
