// When devices start and publish: rates, jitter and intended times.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseRetryAfterMs } from '../../device-sim/enrollment/api.ts'
import { backOffMs, coarse, createSchedule, forEachBounded, jittered } from '../../device-sim/schedule.ts'

describe('a schedule', () => {
  it('runs what is due in order of its time and tells each when it was due', async () => {
    const schedule = createSchedule()
    const start = schedule.now()
    const seen: number[] = []
    for (const offset of [7, 1, 5, 3, 3, 9, 0]) schedule.at(start + offset, dueAt => seen.push(dueAt - start))
    await schedule.wait(start + 10)
    assert.deepEqual(seen.map(Math.round), [0, 1, 3, 3, 5, 7, 9])
    schedule.close()
  })

  it('gives late tasks the time they were due, not the time they ran', async () => {
    let now = 1_000
    const schedule = createSchedule(() => now)
    const due: number[] = []
    schedule.at(900, dueAt => due.push(dueAt))
    schedule.at(950, dueAt => due.push(dueAt))
    now = 5_000
    await schedule.wait(5_000)
    assert.deepEqual(due, [900, 950])
    schedule.close()
  })

  it('runs what is due after a task that throws, and what is set later', async () => {
    const schedule = createSchedule()
    const thrown = new Promise<unknown>(resolve => process.setUncaughtExceptionCaptureCallback(resolve))
    try {
      const start = schedule.now()
      const seen: number[] = []
      schedule.at(start, () => {
        throw new Error('of a task')
      })
      for (const offset of [0, 1]) schedule.at(start + offset, () => seen.push(offset))
      await schedule.wait(start + 2)
      assert.match(String(await thrown), /of a task/)
      await schedule.wait(schedule.now() + 1)
      assert.deepEqual(seen, [0, 1])
    } finally {
      process.setUncaughtExceptionCaptureCallback(null)
      schedule.close()
    }
  })

  it('does not run what was cancelled, and ends a wait when the signal is aborted', async () => {
    const schedule = createSchedule()
    let ran = false
    schedule
      .at(schedule.now(), () => {
        ran = true
      })
      .cancel()
    const abort = new AbortController()
    const waiting = schedule.wait(schedule.now() + 3_600_000, abort.signal)
    abort.abort()
    await waiting
    await schedule.wait(schedule.now() + 1)
    assert.equal(ran, false)
    schedule.close()
  })

  it('keeps a heap of ten thousand in order', async () => {
    const schedule = createSchedule()
    const start = schedule.now()
    let last = Number.NEGATIVE_INFINITY
    let disorder = 0
    let ran = 0
    for (let index = 0; index < 10_000; index++) {
      schedule.at(start - Math.random() * 1_000, dueAt => {
        if (dueAt < last) disorder++
        last = dueAt
        ran++
      })
    }
    await schedule.wait(start)
    assert.deepEqual([ran, disorder], [10_000, 0])
    schedule.close()
  })
})

describe('what a schedule repeats', () => {
  it('runs at each time that it gives, until it gives none', async () => {
    const schedule = createSchedule()
    const start = schedule.now()
    const due: number[] = []
    schedule.repeat(start, dueAt => {
      due.push(dueAt - start)
      return due.length < 4 ? dueAt + 2 : null
    })
    await schedule.wait(start + 20)
    assert.deepEqual(due.map(Math.round), [0, 2, 4, 6])
    schedule.close()
  })

  it('does not run again once it is cancelled, by itself or by something due at the same moment', async () => {
    const schedule = createSchedule()
    const start = schedule.now()
    const ran = { itself: 0, other: 0 }
    const itself = schedule.repeat(start, dueAt => {
      ran.itself++
      itself.cancel()
      return dueAt + 1
    })
    schedule.at(start, () => other.cancel())
    const other = schedule.repeat(start, dueAt => {
      ran.other++
      return dueAt + 1
    })
    await schedule.wait(start + 5)
    assert.deepEqual(ran, { itself: 1, other: 0 })
    schedule.close()
  })

  it('of what is due at one moment forgets nothing, however long it takes', async () => {
    let now = 0
    const schedule = createSchedule(() => now)
    const seen: number[] = []
    for (let index = 0; index < 10; index++) {
      schedule.at(1, () => {
        seen.push(index)
        // Longer than a turn may take: the rest follows in further ones.
        now += 10
        if (index < 3) schedule.at(1, () => seen.push(100 + index))
      })
    }
    now = 1
    await schedule.wait(2)
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 101, 102])
    schedule.close()
  })
})

describe('pacing', () => {
  it('shares what need not be exact among many, never early and at most 50 ms late', () => {
    assert.deepEqual([0, 1, 49.9, 50, 50.1].map(coarse), [0, 50, 50, 50, 100])
  })

  it('jitters within its share either way', () => {
    assert.equal(
      jittered(1_000, 0.1, () => 0),
      900,
    )
    assert.equal(
      jittered(1_000, 0.1, () => 0.5),
      1_000,
    )
    assert.ok(jittered(1_000, 0.1, () => 0.999_999) < 1_100)
  })

  it('backs off exponentially up to the cap', () => {
    const random = () => 1
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5, 60].map(failures => backOffMs(failures, { random })),
      [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000],
    )
    assert.equal(backOffMs(0, { random: () => 0 }), 250)
  })

  it('never runs more at once than allowed, and throws the first failure after the running ones settled', async () => {
    let running = 0
    let most = 0
    let started = 0
    const work = async (item: number): Promise<void> => {
      started++
      most = Math.max(most, ++running)
      await new Promise(resolve => setImmediate(resolve))
      running--
      if (item === 5) throw new Error('five')
    }
    const items = Array.from({ length: 100 }, (_, index) => index)
    await assert.rejects(forEachBounded(items, 3, work), /five/)
    assert.deepEqual([most, running], [3, 0])
    assert.ok(started < 12, 'stops starting after a failure')
  })

  it('reads Retry-After as seconds or as a date', () => {
    const now = Date.parse('2026-01-01T00:00:00Z')
    assert.equal(parseRetryAfterMs('7', now), 7_000)
    assert.equal(parseRetryAfterMs('Thu, 01 Jan 2026 00:00:05 GMT', now), 5_000)
    assert.equal(parseRetryAfterMs('Wed, 31 Dec 2025 23:59:00 GMT', now), 0)
    assert.equal(parseRetryAfterMs('soon', now), null)
    assert.equal(parseRetryAfterMs(undefined, now), null)
  })
})
