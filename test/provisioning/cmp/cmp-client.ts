// A device with nothing but `openssl cmp`, in a directory of its own, against a service of the test.
import { execFile, execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { keyArguments, type Service, type TestKey, temporaryDirectory } from '../harness.ts'

export type CmpRun = { code: number; output: string }

/** Credentials and keys are files of the directory; `secret` and `ca.crt` are there. */
export function createCmpClient(service: Service) {
  const folder = temporaryDirectory()
  const at = (name: string) => join(folder.path, name)
  writeFileSync(at('ca.crt'), service.ca)

  return {
    [Symbol.dispose]: () => folder[Symbol.dispose](),
    at,

    /** Makes a private key; gives the name of its file. */
    key(name: string, type: TestKey = 'p256'): string {
      execFileSync('openssl', ['genpkey', '-algorithm', ...keyArguments[type], '-out', at(name)], {
        stdio: 'pipe',
      })
      return name
    },

    write: (name: string, content: string) => writeFileSync(at(name), content),

    /** Asks for a token, and gives the options that it stands for. */
    async token(order: object): Promise<string[]> {
      const { body } = await service.call('POST', '/v1/enrollment-tokens', { ...order, cmp: true })
      writeFileSync(at('secret'), `${body.cmp.secret}\n`)
      return ['-ref', body.cmp.reference, '-secret', 'file:secret']
    },

    run(command: string, options: readonly string[], path = ''): Promise<CmpRun> {
      const { host } = new URL(service.url)
      const args = [
        ...['cmp', '-config', '', '-cmd', command, '-server', `${host}/.well-known/cmp${path}`],
        ...['-tls_used', '-tls_trusted', 'ca.crt', '-trusted', 'ca.crt', ...options],
      ]
      return new Promise(resolve =>
        execFile('openssl', args, { cwd: folder.path }, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : 1, output: stdout + stderr }),
        ),
      )
    },

    certificate: (name: string) => new X509Certificate(readFileSync(at(name))),
    has: (name: string) => existsSync(at(name)),

    /** The certificate as the registry has it. */
    async onRoll(name: string) {
      const fingerprint = fingerprintOf(new X509Certificate(readFileSync(at(name))).raw)
      return (await service.call('GET', `/v1/certificates/${fingerprint}`)).body
    },
  }
}
