// Answers as libest reads them (Cisco's client and those made of it): its base64 has lines, and it looks for the names of headers by
// the letter, as RFC 7030 prints them. Every other client gets base64 in one line (RFC 8951 §3.1), as strongSwan wants it.
import type { ServerResponse } from 'node:http'

/** `libest client 1.0`, `libest 3.2.0`, `Cisco EST client 2.0 with BRSKI`: what its versions call themselves. */
export function isLibest(userAgent: string | undefined): boolean {
  return /^(libest |cisco est client )/i.test(userAgent ?? '')
}

/** Lines of 64 characters (RFC 7468 §2), each with its end. */
export function wrapped(base64: string): string {
  return base64.replace(/.{1,64}/g, '$&\n')
}

/** From now on the response writes the names of headers as `Content-Type` is written. */
export function capitalizeHeaders(response: ServerResponse): void {
  const writeHead = response.writeHead.bind(response) as (status: number, headers: object) => ServerResponse
  response.writeHead = ((status: number, headers: Record<string, unknown> = {}) =>
    writeHead(
      status,
      Object.fromEntries(Object.entries(headers).map(([name, value]) => [capitalized(name), value])),
    )) as ServerResponse['writeHead']
}

function capitalized(name: string): string {
  return name === 'www-authenticate'
    ? 'WWW-Authenticate'
    : name.replace(/\b[a-z]/g, letter => letter.toUpperCase())
}
