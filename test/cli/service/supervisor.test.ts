// The supervisor alone, with stubs in place of broker and provisioning service.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { ChildProgram, ChildSpec } from '../../../cli/service/supervised-child.ts'
import { type Supervisor, type SupervisorEvents, supervise } from '../../../cli/service/supervisor.ts'
import { lives, temporaryDirectory } from '../running.ts'

const serves = `
  process.on('message', message => {
    if (message.type === 'stop') process.exit(0)
    if (message.type === 'metrics') process.send({ type: 'metrics', id: message.id, text: 'stub_requests_total 1\\n' })
  })
  process.on('disconnect', () => process.exit(0))
  const port = process.argv[2] === '0' ? 4711 : process.argv[2]
  process.send({ type: 'ready', url: 'stub://127.0.0.1:' + port })
`

describe('the supervisor', () => {
  it('is ready once every child is, and leaves nothing running when stopped', async () => {
    using world = createFakeServices()
    const supervisor = world.supervise({ one: serves, two: serves })
    assert.deepEqual(supervisor.missing(), ['one does not accept yet', 'two does not accept yet'])
    assert.deepEqual(await supervisor.ready, { one: 'stub://127.0.0.1:4711', two: 'stub://127.0.0.1:4711' })
    assert.deepEqual(supervisor.missing(), [])
    const pids = Object.values(supervisor.pids())
    await supervisor.stop()
    for (const pid of pids) assert.equal(lives(pid ?? 0), false)
  })

  it("fails a start with the child's own words, once, and stops the others", async () => {
    using world = createFakeServices()
    const died: string[] = []
    const fails = `process.send({ type: 'failed', message: 'port 1 is in use: choose another' }, () => process.exit(1))`
    const supervisor = world.supervise({ well: serves, ill: fails }, { died: name => died.push(name) })
    await assert.rejects(supervisor.ready, { message: 'port 1 is in use: choose another' })
    const { well } = supervisor.pids()
    await supervisor.stop()
    assert.equal(lives(well ?? 0), false)
    assert.deepEqual(died, [])
  })

  it('names a child that runs but cannot do its work, until it can again', async () => {
    using world = createFakeServices()
    // Listening comes first: a signal may follow right behind `ready`.
    const ails = `process.on('SIGHUP', () => process.send({ type: 'health', ready: false }))
      process.on('SIGUSR2', () => process.send({ type: 'health', ready: true }))
      ${serves}`
    const supervisor = world.supervise({ one: ails })
    await supervisor.ready
    const says = async (expected: string[]) => {
      const end = performance.now() + 30_000
      while (supervisor.missing().length !== expected.length && performance.now() < end) await setImmediate()
      assert.deepEqual(supervisor.missing(), expected)
    }
    try {
      supervisor.signal('SIGHUP')
      await says(['one cannot do its work now; its log says why'])
      supervisor.signal('SIGUSR2')
      await says([])
    } finally {
      await supervisor.stop()
    }
  })

  it('names the child that ended at start without a word', async () => {
    using world = createFakeServices()
    const supervisor = world.supervise({ mute: 'process.exit(7)' })
    await assert.rejects(supervisor.ready, /mute did not start: it exited with code 7/)
    await supervisor.stop()
  })

  it('says so where a command cannot even be started', async () => {
    const supervisor = supervise({
      output: 'inherit',
      children: [{ name: 'ghost', command: '/nonexistent/command', args: () => [] }],
    })
    await assert.rejects(supervisor.ready, /ghost did not start: it could not be started/)
    await supervisor.stop()
  })

  it('starts the others while the program of one is being chosen, and that one not before', async () => {
    using world = createFakeServices()
    const chosen = Promise.withResolvers<ChildProgram>()
    const up = Promise.withResolvers<void>()
    const [late, early] = world.children({ late: serves, early: serves })
    const supervisor = world.superviseAll([{ name: 'late', program: chosen.promise }, early!], {
      ready: name => name === 'early' && up.resolve(),
    })
    await up.promise
    assert.equal(supervisor.pids()['late'], null)
    assert.deepEqual(supervisor.missing(), ['late does not accept yet'])
    chosen.resolve(late!)
    assert.deepEqual(Object.keys(await supervisor.ready), ['late', 'early'])
    await supervisor.stop()
  })

  it('fails a start for which no program could be chosen, in the words of why and what to do', async () => {
    using world = createFakeServices()
    const refused = Object.assign(new Error('it fails the check'), { hint: 'choose another' })
    const supervisor = world.superviseAll([
      { name: 'late', program: Promise.reject(refused) },
      ...world.children({ well: serves }),
    ])
    await assert.rejects(supervisor.ready, { message: 'it fails the check\nhint: choose another' })
    await supervisor.stop()
  })

  it('starts no program that is chosen after the stop', async () => {
    using world = createFakeServices()
    const chosen = Promise.withResolvers<ChildProgram>()
    const [late] = world.children({ late: serves })
    const supervisor = world.superviseAll([{ name: 'late', program: chosen.promise }])
    const refused = assert.rejects(supervisor.ready)
    await supervisor.stop()
    chosen.resolve(late!)
    await refused
    await setImmediate()
    assert.deepEqual([supervisor.pids()['late'], world.arguments], [null, []])
  })

  it('starts a killed child again, on the port it had', async () => {
    using world = createFakeServices()
    const restarted = Promise.withResolvers<string>()
    let readies = 0
    const supervisor = world.supervise(
      { one: serves },
      { ready: (_, url) => void (++readies === 2 && restarted.resolve(url)) },
    )
    await supervisor.ready
    process.kill(supervisor.pids()['one'] ?? 0, 'SIGKILL')
    assert.equal(await restarted.promise, 'stub://127.0.0.1:4711')
    assert.deepEqual(world.arguments, ['0', '4711'])
    assert.match(await supervisor.metrics(), /rollcall_service_restarts_total\{service="one"\} 1/)
    await supervisor.stop()
  })

  it('waits longer before each restart of a child that keeps dying, and goes on trying', async () => {
    using world = createFakeServices()
    const delays: number[] = []
    const enough = Promise.withResolvers<void>()
    const dies = `process.send({ type: 'ready', url: 'stub://127.0.0.1:1' }, () => process.exit(1))`
    const supervisor = world.supervise(
      { frail: dies },
      {
        restarting(_, delayMs) {
          delays.push(delayMs)
          if (delays.length === 5) enough.resolve()
        },
      },
    )
    await enough.promise
    await supervisor.stop()
    assert.deepEqual(delays, [10, 20, 40, 40, 40])
  })

  it('kills a child that will not stop', async () => {
    using world = createFakeServices()
    const stays = `process.on('message', () => {}); process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)
      process.send({ type: 'ready', url: 'stub://127.0.0.1:1' })`
    const supervisor = world.supervise({ stubborn: stays })
    await supervisor.ready
    const { stubborn } = supervisor.pids()
    await supervisor.stop()
    assert.equal(lives(stubborn ?? 0), false)
  })

  it('joins the metrics of its children, and answers without one that does not', async () => {
    using world = createFakeServices()
    const silent = serves.replace('process.send({ type:', 'void ({ type:')
    const supervisor = world.supervise({ one: serves, two: serves, silent })
    await supervisor.ready
    const text = await supervisor.metrics()
    assert.match(text, /stub_requests_total\{service="one"\} 1\nstub_requests_total\{service="two"\} 1/)
    assert.match(text, /rollcall_service_up\{service="silent"\} 1/)
    await supervisor.stop()
  })

  it('takes nothing from a child that is no message', async () => {
    using world = createFakeServices()
    const babbles = `for (const odd of [null, 7, 'ready', { type: 'ready' }, { type: 'ready', url: 7 }, { type: 'metrics', id: {} }])
      process.send(odd)
      ${serves}`
    const supervisor = world.supervise({ odd: babbles })
    assert.deepEqual(await supervisor.ready, { odd: 'stub://127.0.0.1:4711' })
    await supervisor.stop()
  })

  it('can be stopped before anything is up', async () => {
    using world = createFakeServices()
    const supervisor = world.supervise({
      slow: `process.on('message', () => process.exit(0)); setInterval(() => {}, 1000)`,
    })
    const refused = assert.rejects(supervisor.ready)
    await supervisor.stop()
    await refused
  })
})

function createFakeServices() {
  const directory = temporaryDirectory()
  const given: string[] = []
  const children = (stubs: Record<string, string>) =>
    Object.entries(stubs).map(([name, source]) => {
      const script = join(directory.path, `${name}.mjs`)
      writeFileSync(script, source)
      return {
        name,
        command: process.execPath,
        args(formerUrl: string | null) {
          const port = formerUrl === null ? '0' : new URL(formerUrl).port
          given.push(port)
          return [script, port]
        },
      }
    })
  const superviseAll = (specs: readonly ChildSpec[], events: SupervisorEvents = {}): Supervisor =>
    supervise({
      children: specs,
      events,
      output: 'inherit',
      stopMs: 500,
      backoffMinMs: 10,
      backoffMaxMs: 40,
      // A child that answers does so in a moment, also on a busy machine.
      metricsTimeoutMs: 3_000,
    })
  return {
    arguments: given,
    children,
    superviseAll,
    supervise: (stubs: Record<string, string>, events?: SupervisorEvents) =>
      superviseAll(children(stubs), events),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  }
}
