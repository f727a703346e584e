// What a relying party does with a certificate of ours: follows its pointers, and lets openssl judge.
import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openssl, type Service, temporaryDirectory } from '../harness.ts'

export type Issued = { certificate: string; chain: string[]; fingerprint: string; serialNumber: string }

/** The URLs that a certificate names. */
export function pointersOf(pem: string): { crl: string; issuer: string; ocsp: string } {
  const text = openssl(['x509', '-noout', '-text'], pem)
  const find = (pattern: RegExp) => pattern.exec(text)?.[1] ?? ''
  return {
    crl: find(/CRL Distribution Points:[\s\S]*?URI:(\S+)/),
    issuer: find(/CA Issuers - URI:(\S+)/),
    ocsp: find(/OCSP - URI:(\S+)/),
  }
}

export async function fetchCrl(pem: string): Promise<Buffer> {
  const answer = await fetch(pointersOf(pem).crl)
  if (answer.status !== 200) throw new Error(`the CRL was answered with ${answer.status}`)
  return Buffer.from(await answer.arrayBuffer())
}

/** `openssl crl -text` of a list in DER. */
export function crlText(der: Buffer): string {
  return openssl(['crl', '-inform', 'DER', '-noout', '-text'], der as unknown as string)
}

export type Run = { code: number; output: string }

export function run(program: string, args: readonly string[]): Promise<Run> {
  return new Promise(resolve =>
    execFile(program, args, { timeout: 120_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr }),
    ),
  )
}

/** Files that openssl and others read, in a directory that goes with the test. */
export function relyingParty(service: Service): Disposable & {
  file(name: string, content: string | Buffer): string
  /** `openssl verify -crl_check` with the CRL that is served now. */
  verify(issued: Issued): Promise<Run>
} {
  const folder = temporaryDirectory()
  const file = (name: string, content: string | Buffer) => {
    const path = join(folder.path, name)
    writeFileSync(path, content)
    return path
  }
  return {
    file,
    async verify(issued) {
      const crl = openssl(
        ['crl', '-inform', 'DER'],
        (await fetchCrl(issued.certificate)) as unknown as string,
      )
      return run('openssl', [
        ...['verify', '-crl_check', '-CAfile', file('ca.pem', service.ca)],
        ...['-untrusted', file('issuing.pem', issued.chain.join('')), '-CRLfile', file('crl.pem', crl)],
        file('leaf.pem', issued.certificate),
      ])
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

/** The serial number as openssl prints it in lists. */
export function printedSerial(pem: string): string {
  return new X509Certificate(pem).serialNumber.toUpperCase()
}
