// Everything a simulator run needs, in one temporary directory, and the run itself as a function of flags.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Summary } from '../../../device-sim/results/summary.ts'
import type { QuickFlags } from '../../../device-sim/scenario/quick.ts'
import { runQuick, type ScenarioFlags } from '../../../device-sim/scenario-run.ts'
import { createAuthority } from './authority.ts'
import { type Reason, startBroker } from './broker.ts'
import { createRoll, startProvisioning, token } from './provisioning.ts'

export async function createFakeServices({ forgive = [] }: { forgive?: readonly Reason[] } = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'rollcall-sim-'))
  const authority = await createAuthority()
  const roll = createRoll()
  const provisioning = await startProvisioning(authority, roll)
  const broker = await startBroker(authority, roll, forgive)
  await writeFile(join(directory, 'ca.crt'), authority.rootPem)
  await writeFile(join(directory, 'admin.token'), `${token}\n`, { mode: 0o600 })
  await writeFile(
    join(directory, 'endpoints.json'),
    JSON.stringify({ mqtts: broker.url, api: provisioning.url, admin: 'http://127.0.0.1:1' }),
  )

  return {
    directory,
    authority,
    roll,
    provisioning,
    broker,
    keysDir: join(directory, 'sim'),

    /**
     * Without a duration the run ends once every device has published, or at `until`; with one, once it is over. The summary
     * is read from stdout.
     */
    async run(
      flags: QuickFlags & ScenarioFlags = {},
      {
        signal = new AbortController().signal,
        until,
      }: { signal?: AbortSignal; until?: Promise<unknown> } = {},
    ) {
      const stdout = createSink()
      const stderr = createSink()
      const all: QuickFlags & ScenarioFlags = {
        data: directory,
        devices: '5',
        rate: '200',
        interval: '50ms',
        duration: flags.rogues === undefined ? '1h' : '2s',
        output: 'json',
        ...flags,
      }
      const timeUp = new AbortController()
      if (all.duration === '1h') (until ?? broker.publishers(Number(all.devices))).then(() => timeUp.abort())
      const context = { env: {}, stdout, stderr, signal, timeUp: timeUp.signal }
      const exitCode = await runQuick(all, all, context)
      const text = stdout.text()
      const summary = all.output === 'json' && text !== '' ? (JSON.parse(text) as Summary) : null
      return { exitCode, summary: summary as Summary, stdout: text, stderr: stderr.text() }
    },

    async [Symbol.asyncDispose]() {
      await broker[Symbol.asyncDispose]()
      await provisioning[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function createSink() {
  const parts: string[] = []
  const sink = new Writable({
    write(part, _encoding, done) {
      parts.push(String(part))
      done()
    },
  })
  return Object.assign(sink as unknown as NodeJS.WriteStream, { text: () => parts.join('') })
}
