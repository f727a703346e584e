// Streams whose readers are slow: what they have not taken is not kept in memory, and one that takes nothing is cut.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Event } from '../../../db/events/event-reader.ts'
import { createEventStreams, type EventStreamOptions } from '../../../provisioning/events/event-streams.ts'
import { until } from '../../harness/until.ts'

const eventOf = (seq: number): Event => ({
  ...{ seq, at: 0, kind: 'connected', deviceId: `d${seq}`, fingerprint: null, reason: null },
  ...{ node: null, detail: {} },
})

/** A log of so many events, that counts what is read of it. */
function logOf(count: number) {
  let version = 1
  return {
    add: (more: number) => {
      count += more
      version += 1
    },
    reader: {
      dataVersion: () => version,
      latestSeq: () => count,
      positionAt: () => 0,
      after: (seq: number, limit: number) =>
        Array.from({ length: Math.max(0, Math.min(limit, count - seq)) }, (_, index) =>
          eventOf(seq + index + 1),
        ),
      page: () => ({ items: [], next: null }),
      minutes: () => [],
      close() {},
    },
  }
}

function streamOf(more: Partial<EventStreamOptions> & { takes: boolean }) {
  const { takes, ...rest } = more
  const state = { text: '', ended: false }
  const stream: EventStreamOptions = {
    ...{ caller: 'a', position: 0, passes: () => true, isStillIn: () => true },
    write(text) {
      state.text += text
    },
    pending: () => (takes ? 0 : state.text.length),
    end() {
      state.ended = true
    },
    cut() {
      state.ended = true
    },
    ...rest,
  }
  return { stream, state }
}

test('a slow reader is written a bounded amount, then cut; others hear everything', async () => {
  const log = logOf(100_000)
  const streams = createEventStreams({
    reader: log.reader,
    textOf: ({ seq }) => `${seq} ${'x'.repeat(200)}\n`,
    onCount() {},
    stalledMs: 400,
  })
  const slow = streamOf({ takes: false })
  const quick = streamOf({ takes: true, position: 99_000 })
  streams.add(slow.stream)
  streams.add(quick.stream)
  await until(() => slow.state.ended)
  // One batch beyond the bound at most, of a log of 20 MB.
  assert.ok(slow.state.text.length < 64 * 1024 + 500 * 210, `${slow.state.text.length}`)
  log.add(5)
  await until(() => quick.state.text.includes('100005 '))
  assert.equal(quick.state.text.split('\n').filter(line => line !== '').length, 1_005)
  assert.equal(quick.state.ended, false)
  streams.close()
  assert.equal(quick.state.ended, true)
})

test('many that ask for what is long past make nobody wait for news', async () => {
  const log = logOf(1_000_000)
  let read = 0
  const after = (seq: number, limit: number) => {
    const events = log.reader.after(seq, limit)
    read += events.length
    return events
  }
  const streams = createEventStreams({
    reader: { ...log.reader, after },
    textOf: ({ seq }) => `${seq}\n`,
    onCount() {},
  })
  for (let index = 0; index < 50; index += 1)
    streams.add(streamOf({ takes: true, caller: `c${index}`, position: index * 1_000 }).stream)
  const current = streamOf({ takes: true, position: 1_000_000 })
  streams.add(current.stream)
  const begin = performance.now()
  log.add(1)
  await until(() => current.state.text === '1000001\n')
  const looks = (performance.now() - begin) / 100 + 1
  assert.ok(read <= (looks + 1) * 2_500, `${read} rows in ${looks} looks`)
  streams.close()
})

test('a caller that may not listen any more, or cannot be checked, is cut', async () => {
  const streams = createEventStreams({ reader: logOf(1).reader, textOf: () => '', onCount() {} })
  let isIn = true
  const one = streamOf({ takes: true, isStillIn: () => isIn })
  const other = streamOf({
    takes: true,
    isStillIn: () => {
      if (!isIn) throw new Error('the registry is lost')
      return true
    },
  })
  streams.add(one.stream)
  streams.add(other.stream)
  await pause(50)
  assert.deepEqual([one.state.ended, other.state.ended], [false, false])
  isIn = false
  await until(() => one.state.ended && other.state.ended)
  streams.close()
})
