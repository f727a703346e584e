// The device of a trial (runtime-trial.ts): runs on the runtime that is tried, connects as it is told and says how each connection ended.
import { createHash, randomBytes } from 'node:crypto'
import { resultName } from '../links/connect-result.ts'
import { openLightweightLink } from '../links/lightweight.ts'
import type { Credentials } from '../links/session.ts'
import { createSchedule } from '../schedule.ts'
import { type Broker, overTls } from '../target.ts'

export type TrialTask = {
  plainPort: number
  tlsPort: number
  /** The certificate of the server, and one that it does not have. PEM. */
  ca: string
  otherCa: string
  /** The fingerprint of the other one. */
  pinned: string
  credentials: Credentials
}

/** `sent` is the digest of the payload that an admitted device sends. */
export type TrialAnswer = { results: string[]; sent: string }

/** More than the buffers of a socket take at once. */
const PAYLOAD_BYTES = 3_000_000
const TIMEOUT_MS = 5_000

async function carryOut(task: TrialTask): Promise<TrialAnswer> {
  const schedule = createSchedule()
  const payload = randomBytes(PAYLOAD_BYTES)
  const over = {
    ...overTls,
    url: '',
    host: '127.0.0.1',
    servername: 'localhost',
    port: task.tlsPort,
    ca: task.ca,
  }
  const { credentials } = task
  const attempts: [Broker, Credentials | null][] = [
    [{ ...over, transport: 'tcp', port: task.plainPort }, null],
    [over, credentials],
    [over, null],
    [{ ...over, ca: task.otherCa }, credentials],
    [{ ...over, servername: 'other.example' }, credentials],
    [{ ...over, verify: { pinned: task.pinned } }, credentials],
  ]
  const results: string[] = []
  for (const [broker, credentials] of attempts) {
    const options = {
      broker,
      clientId: 'trial',
      credentials,
      timeoutMs: TIMEOUT_MS,
    }
    const { result, session } = await openLightweightLink(options, schedule).settled
    results.push(resultName(result))
    session?.publish({ topic: 'trial', payload, qos: 0 }, () => {})
    await session?.end()
  }
  schedule.close()
  return { results, sent: createHash('sha256').update(payload).digest('hex') }
}

process.once('message', (task: TrialTask) => {
  carryOut(task).then(
    answer => process.send?.(answer),
    () => process.exit(1),
  )
})
process.once('disconnect', () => process.exit(0))
