// Whether a runtime may carry the broker: a TLS listener on it is asked what it sees of its peers, by a client on Node.
import { fork } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type ConnectionOptions, connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { CheckReady, CheckSeen } from '../../broker/gate/runtime-check.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { selfSigned } from '../../pki/self-signed.ts'

const CHECK_MS = 10_000
const CHECK_ENTRY = fileURLToPath(
  new URL(
    `../../broker/gate/runtime-check.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`,
    import.meta.url,
  ),
)

/**
 * Connects to a TLS listener on that runtime, with this process's own TLS. Null where every peer was seen as it was; else what
 * was wrong. A runtime that is asked for and fails must not carry connections: its idea of the peer is what admission rests on.
 */
export async function checkRuntime(program: string, version: string): Promise<string | null> {
  const server = await selfSigned('rollcall-check')
  const device = await selfSigned('rollcall-check-device')
  const child = fork(CHECK_ENTRY, {
    execPath: program,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', code => reject(new Error(`the check ended with exit code ${code}`)))
  })
  ended.catch(() => {})
  const deadline = setTimeout(() => child.kill('SIGKILL'), CHECK_MS)
  const answer = async <T>(message: object): Promise<T> => {
    child.send(message, () => {})
    const [value] = await Promise.race([once(child, 'message'), ended])
    return value as T
  }
  try {
    const { port, bun } = await answer<CheckReady>(server)
    if (bun !== version) return `it is version ${bun ?? 'unknown'}; ${version} is the one tested`
    const see = (options: ConnectionOptions) => Promise.race([seenBy(port, options), ended])
    const own = { cert: device.certificate, key: device.key }
    const expected = fingerprintOf(new X509Certificate(device.certificate).raw)
    for (const protocol of ['TLSv1.3', 'TLSv1.2'] as const) {
      const only = { minVersion: protocol, maxVersion: protocol }
      const first = await see({ ...only, ...own })
      if (first.fingerprint !== expected) return `${protocol}: it did not see the certificate of its peer`
      const stranger = await see(only)
      if (stranger.fingerprint !== null) return `${protocol}: it saw a certificate where there was none`
      const again = await see({ ...only, session: first.session })
      if (again.resumed && again.fingerprint !== expected)
        return `${protocol}: a resumed session lost the certificate of its peer`
      await answer({ renew: true })
      const late = await see({ ...only, session: first.session })
      if (late.resumed) return `${protocol}: it resumed a session from before its keys were renewed`
    }
    return null
  } catch (error) {
    return (error as Error).message
  } finally {
    clearTimeout(deadline)
    child.kill('SIGKILL')
  }
}

/** What the listener saw of one connection, and the TLS session to resume. */
function seenBy(
  port: number,
  options: ConnectionOptions,
): Promise<CheckSeen & { session: Buffer | undefined }> {
  return new Promise((resolve, reject) => {
    // The server is this check's own child, and its certificate says nothing.
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
    let text = ''
    let session: Buffer | undefined
    socket.on('session', given => {
      session = given
    })
    socket.on('data', bytes => {
      text += bytes
    })
    socket.on('error', reject)
    socket.on('close', () => {
      if (text.endsWith('\n')) resolve({ ...(JSON.parse(text) as CheckSeen), session })
      else reject(new Error('the connection closed without an answer'))
    })
  })
}
