// A CA that publishes CRLs, run by openssl as its operators would: certificates by serial number, revoked and released again.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Authority, makeForeignCa, openssl, signedBy } from '../harness.ts'

export type CrlAuthority = Disposable & {
  ca: Authority
  /** Its certificate anew, with the same name and key, for a month longer. PEM. */
  renew(): string
  /** A certificate with this serial number, in hex. */
  issue(subject: string, serialNumber: string, extensions?: string): string
  /** A CRL (DER) that lists these serial numbers, each with its reason where one is given. */
  crl(listed: Record<string, string>, more?: { days?: number; extensions?: string; seconds?: number }): Buffer
}

export function makeCrlAuthority(name = 'Foreign CA'): CrlAuthority {
  const path = mkdtempSync(join(tmpdir(), 'rollcall-crl-'))
  const ca = makeForeignCa(name)
  const file = (name: string, content: string) => {
    writeFileSync(join(path, name), content)
    return join(path, name)
  }
  const [certificate, key] = [file('ca.pem', ca.certificate), file('ca.key', ca.key)]
  const number = file('crlnumber', '1000\n')
  return {
    ca,
    renew: () =>
      openssl([
        ...['req', '-x509', '-new', '-key', key, '-days', '60', '-subj', `/CN=${name}`],
        ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign,cRLSign'],
      ]),
    issue: (subject, serialNumber, extensions = '') =>
      signedBy(ca, subject, `extendedKeyUsage=clientAuth\n${extensions}`, [
        '-days',
        '30',
        '-set_serial',
        `0x${serialNumber}`,
      ]),
    crl(listed, { days = 7, seconds, extensions = '' } = {}) {
      const rows = Object.entries(listed).map(
        ([serial, reason]) =>
          `R\t301231000000Z\t260101000000Z${reason && `,${reason}`}\t${serial}\tunknown\t/CN=x\n`,
      )
      const config = file(
        'ca.cnf',
        `[ca]\ndefault_ca=d\n[d]\ndatabase=${file('index.txt', rows.join(''))}\ncrlnumber=${number}\ndefault_md=sha256\n` +
          `certificate=${certificate}\nprivate_key=${key}\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n${extensions}\n`,
      )
      const lasts = seconds === undefined ? ['-crldays', String(days)] : ['-crlsec', String(seconds)]
      const out = join(path, 'out.pem')
      openssl(['ca', '-config', config, '-gencrl', ...lasts, '-out', out])
      openssl(['crl', '-in', out, '-outform', 'DER', '-out', join(path, 'out.der')])
      return readFileSync(join(path, 'out.der'))
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
