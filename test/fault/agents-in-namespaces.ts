// Run in a network namespace of its own: a coordinator and a broker, and two agents on machines of their own, which are namespaces
// behind veth pairs. One is an hour ahead and answers its coordinator late; with `cut` the other's link goes down. Prints what came of it as JSON.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAgentIdentity } from '../../device-sim/agents/identity.ts'
import manifest from '../../device-sim/package/package.json' with { type: 'json' }
import { fakeTime, startAgentProcess } from '../device-sim/fakes/agent-process.ts'
import { startPlainBroker } from '../device-sim/fakes/plain-broker.ts'
import { runText } from '../device-sim/fakes/run.ts'

const cut = process.argv[2] === 'cut'
const DELAY_MS = { least: 20, most: 60 }
const here = '10.77.0.1'
const scenario = `
name: over agents
groups:
  - name: devices
    count: 20
    subscribe: [{ filter: 'all/#', qos: 1 }]
    publish: [{ topic: 'all/\${device}', every: 100ms, qos: 1 }]
stages:
  - { kind: ramp, rate: 400 }
  - { kind: steady, for: 1h }
`

const run = (program: string, ...args: string[]): void =>
  void execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })

/** A machine: a process that holds a network namespace, reached at 10.77.N.2 over a link of its own. */
async function machine(number: number) {
  const holder = spawn('unshare', ['-n', 'sh', '-c', 'echo; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await once(holder.stdout, 'data')
  const pid = holder.pid as number
  const address = `10.77.${number}.2`
  const within = (...command: string[]): void => run('nsenter', '-t', String(pid), '-n', ...command)
  run('ip', 'link', 'add', `here${number}`, 'type', 'veth', 'peer', 'name', 'wire', 'netns', String(pid))
  run('ip', 'addr', 'add', `10.77.${number}.1/24`, 'dev', `here${number}`)
  run('ip', 'link', 'set', `here${number}`, 'up')
  within('ip', 'addr', 'add', `${address}/24`, 'dev', 'wire')
  for (const link of ['lo', 'wire']) within('ip', 'link', 'set', link, 'up')
  within('ip', 'route', 'add', 'default', 'via', `10.77.${number}.1`)
  const unplug = (): void => run('ip', 'link', 'set', `here${number}`, 'down')
  return { pid, address, unplug, [Symbol.dispose]: () => void holder.kill('SIGKILL') }
}

/** Passes bytes on late, each way by chance; in their order. */
async function lateWay(host: string, port: number) {
  const sockets = new Set<Socket>()
  const server = createServer(from => {
    const to = connect(port, host)
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      let due = 0
      // Timers that are due within a millisecond fire in any order: each passes on what came first.
      const waiting: Buffer[] = []
      sockets.add(one)
      one.on('error', () => {}).on('close', () => other.destroy())
      one.on('data', (bytes: Buffer) => {
        waiting.push(bytes)
        const delay = DELAY_MS.least + Math.random() * (DELAY_MS.most - DELAY_MS.least)
        due = Math.max(due, performance.now() + delay)
        setTimeout(() => other.write(waiting.shift()!), due - performance.now())
      })
    }
  }).listen(0, here)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'addr', 'add', `${here}/32`, 'dev', 'lo')
const directory = await mkdtemp(join(tmpdir(), 'rollcall-agents-'))
const coordinator = await makeAgentIdentity(join(directory, 'coordinator.pem'))
const { fingerprint } = coordinator
{
  using first = await machine(1)
  using second = await machine(2)
  await using near = await startAgentProcess(join(directory, 'near.pem'), fingerprint, {
    workers: 1,
    host: first.address,
    namespaceOf: first.pid,
  })
  await using far = await startAgentProcess(join(directory, 'far.pem'), fingerprint, {
    workers: 1,
    host: second.address,
    namespaceOf: second.pid,
    aheadSeconds: fakeTime === undefined ? 0 : 3_600,
  })
  using way = await lateWay(far.address.host, far.address.port)
  await using broker = await startPlainBroker(here)
  const noticed = Promise.withResolvers<void>()
  let unpluggedAt = 0
  let noticedAt = 0
  const late = { ...far.address, name: `${here}:${way.port}`, host: here, port: way.port }
  const { summary } = await runText(
    scenario,
    { broker: broker.url, identities: 'none' },
    {
      agents: { addresses: [near.address, late], identity: coordinator },
      version: manifest.version,
      ...(cut ? { until: noticed.promise } : { enough: ({ received }) => received > 2_000 }),
      onEvent({ text }) {
        if (!text.startsWith('agent')) return
        noticedAt = performance.now()
        noticed.resolve()
      },
      onSample({ population }) {
        if (!cut || unpluggedAt > 0 || population.connected < 20) return
        unpluggedAt = performance.now()
        first.unplug()
      },
    },
  )
  const { traffic, population, deliverMs, verdict } = summary
  const result = {
    agents: summary.run.agents.map(({ clockErrorMs }) => clockErrorMs),
    connected: population.connected,
    traffic: traffic.qos1,
    deliverMs: [deliverMs.min, deliverMs.max],
    breaches: verdict.breaches,
    exitCode: verdict.exitCode,
    noticedMs: Math.round(noticedAt - unpluggedAt),
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
await rm(directory, { recursive: true, force: true })
process.exit(0)
