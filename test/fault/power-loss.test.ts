// The power fails under load, at many moments of one run: what was answered or acknowledged by then is on the disk that is left.
import assert from 'node:assert/strict'
import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import mqtt from 'mqtt'
import pino from 'pino'
import { startBroker } from '../../broker/index.ts'
import { validateSettings } from '../../broker/settings/validation.ts'
import { rollcall, until } from '../cli/running.ts'
import { type Device, enroll } from '../e2e/devices.ts'
import { disk, type System, scratch, startSystem } from '../e2e/system.ts'
import { type DiskTrace, readTrace, recording } from './disk-trace.ts'
import { length } from './length.ts'
import { createAnswerRecord, operate } from './operators.ts'

const LOSSES = length(4, 50)
/** Of load, for each loss. */
const EVERY_MS = 150
const IN_FLIGHT = 10
/** Between two messages of a sender: every one of them is delivered after each loss. */
const PAUSE_MS = 20
const settings = { offlineMessagesMax: 1_000_000, offlineBytesMax: 1_000_000_000 }
const env = {
  ROLLCALL_BROKER_OFFLINE_MESSAGES_MAX: '1000000',
  ROLLCALL_BROKER_OFFLINE_BYTES_MAX: '1000000000',
}

/** How much of each list was answered by then. */
type Moment = { at: number; added: number; listed: number; revoked: number; messages: number }

describe(`a loss of power, at ${LOSSES} moments`, () => {
  // In memory a flush takes no time, and the moments within one would be few.
  const world = scratch(disk)
  const files = ['registry.db', 'registry.db-wal', 'sessions.db', 'sessions.db-wal'].map(name =>
    world.at('data', name),
  )
  const answers = createAnswerRecord()
  const messages: string[] = []
  /** After each message that was acknowledged. */
  const known: Moment[] = []
  let moments: Moment[] = []
  let away: Device
  let trace: DiskTrace

  before(async () => {
    let system: System = await startSystem(world.at('data'), { env })
    away = await enroll(system.api, world.path, 'away')
    const sender = await enroll(system.api, world.path, 'sender', { groups: ['backend'] })
    const leaver = await mqtt.connectAsync(system.ready.mqtts, clientOf(away))
    await leaver.subscribeAsync('devices/away/#', { qos: 2 })
    await leaver.endAsync()
    assert.equal(await system.end(), 0)
    const held = files.map(file => [file, existsSync(file) ? readFileSync(file) : Buffer.alloc(0)] as const)

    system = await startSystem(world.at('data'), { env, through: recording(world.at('trace'), files) })
    const stop = new AbortController()
    const operators = [1, 2].map(number =>
      operate(system.api, `o${number}`, answers, Math.random, stop.signal),
    )
    const client = await mqtt.connectAsync(system.ready.mqtts, clientOf(sender))
    const sending = Array.from({ length: IN_FLIGHT }, async (_, index) => {
      while (!stop.signal.aborted) {
        const payload = `${messages.length}-${Math.random()}`
        await client.publishAsync('devices/away/x', payload, { qos: index % 2 === 0 ? 1 : 2 })
        messages.push(payload)
        known.push(sizesAt(Date.now() + 1))
        await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
      }
    })
    const began = Date.now()
    const enough = ({ at, listed, revoked, messages }: Moment) =>
      at - began > LOSSES * EVERY_MS && listed > 0 && revoked > 0 && messages > LOSSES
    await until(() => known.length > 0 && enough(known.at(-1)!), 'enough was answered', 60_000)
    stop.abort()
    await Promise.all([...operators, ...sending])
    await client.endAsync()
    await system.end()
    await until(() => existsSync(world.at('trace')), 'it was recorded')
    trace = await readTrace(world.at('trace'), new Map(held))
    moments = chosenMoments()
  })
  after(() => world[Symbol.dispose]())

  function clientOf({ id, certificate: cert, key, ca }: Device) {
    return { clientId: id, clean: false, cert, key, ca, reconnectPeriod: 0 }
  }

  function sizesAt(at: number): Moment {
    const { added, listed, revoked } = answers
    return { at, added: added.size, listed: listed.size, revoked: revoked.size, messages: messages.length }
  }

  /** The strictest of moments: what was written is not flushed yet, and a premature answer has arrived. */
  function chosenMoments(): Moment[] {
    const [first, last] = [known[0]!.at, known.at(-1)!.at]
    const strict = trace.amidFlushes().filter(at => at > first && at < last)
    assert.ok(strict.length >= LOSSES, `${strict.length} flushes under load`)
    return Array.from({ length: LOSSES }, (_, index) => {
      const at = strict[Math.floor(((index + 1) * strict.length) / LOSSES) - 1]!
      return { ...known.findLast(moment => moment.at <= at)!, at }
    })
  }

  /** The data directory as the power left it. */
  function leftAt(at: number, options: Parameters<DiskTrace['lay']>[2]): { data: string; lost: number } {
    const data = world.at(`left-${at}`)
    cpSync(world.at('data'), data, {
      recursive: true,
      // The kept checkpoint is of the end of the run, and no writes to it are traced.
      filter: from => !/\.db(-wal|-shm)?$|\.lock$|audit\.checkpoint$/.test(from),
    })
    return { data, lost: trace.lay(data, at, options) }
  }

  const first = <T>(all: Iterable<T>, count: number) => [...all].slice(0, count)

  async function assertRegistryKept(data: string, moment: Moment): Promise<void> {
    const registry = new Sqlite(`${data}/registry.db`)
    try {
      assert.equal(registry.pragma('integrity_check', { simple: true }), 'ok')
      const has = (sql: string) => (value: string) => registry.prepare(sql).get(value) !== undefined
      const isAdded = has('SELECT 1 FROM devices WHERE id = ?')
      const isListed = has('SELECT 1 FROM certificates WHERE fingerprint = ?')
      const isRevoked = has("SELECT 1 FROM certificates WHERE fingerprint = ? AND status = 'revoked'")
      assert.deepEqual(
        first(answers.added, moment.added).filter(id => !isAdded(id)),
        [],
      )
      assert.deepEqual(
        first(answers.listed.keys(), moment.listed).filter(listed => !isListed(listed)),
        [],
      )
      assert.deepEqual(
        first(answers.revoked, moment.revoked).filter(revoked => !isRevoked(revoked)),
        [],
      )
    } finally {
      registry.close()
    }
    const audit = await rollcall(['audit', 'verify', '--data', data])
    assert.equal(audit.code, 0, audit.stderr)
  }

  /** Which of these do not wait for the device that is away, told by a broker on what is left. */
  async function missingOn(data: string, wanted: string[], deadlineMs = 120_000): Promise<string[]> {
    const log = pino({ level: 'silent' })
    const broker = await startBroker({
      data,
      host: '127.0.0.1',
      port: 0,
      settings: validateSettings(settings),
      log,
    })
    const seen = new Set<string>()
    const client = mqtt.connect(`mqtts://127.0.0.1:${broker.port}`, clientOf(away))
    client.on('message', (_topic, payload) => void seen.add(String(payload)))
    const missing = () => wanted.filter(payload => !seen.has(payload))
    // What was not acknowledged yet may be there as well.
    await until(() => missing().length === 0, 'all that waits arrives', deadlineMs).catch(() => {})
    await client.endAsync(true)
    await broker.close({ hurry: true })
    return missing()
  }

  it('leaves everything that was answered or acknowledged', async t => {
    let lostWrites = 0
    for (const [index, moment] of moments.entries()) {
      // Every other time some of what was not flushed happens to be there.
      const keep = () => index % 2 === 1 && Math.random() < 0.5
      const { data, lost } = leftAt(moment.at, { keep })
      lostWrites += lost
      await assertRegistryKept(data, moment)
      const missing = await missingOn(data, first(messages, moment.messages))
      assert.deepEqual(missing, [], `${missing.length} of ${moment.messages} messages are lost`)
      rmSync(data, { recursive: true })
    }
    const last = moments.at(-1)!
    t.diagnostic(
      `${LOSSES} losses of power, ${lostWrites} unflushed writes gone; none of ${last.added + last.listed + last.revoked} answers ` +
        `and ${last.messages} acknowledged messages lost`,
    )
    assert.ok(lostWrites >= LOSSES / 2, `${lostWrites} writes were lost`)
  })

  it('would be noticed: without its flushes the same disk has lost what was acknowledged', async () => {
    const moment = moments.at(-1)!
    const { data } = leftAt(moment.at, { keep: () => false, flushed: false })
    await assert.rejects(assertRegistryKept(data, moment))
    const wanted = first(messages, moment.messages)
    // Where the registry is damaged, no broker starts on it.
    const missing = await missingOn(data, wanted, 1_000).catch(() => wanted)
    assert.notDeepEqual(missing, [])
  })
})
