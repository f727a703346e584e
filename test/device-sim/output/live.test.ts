// The live view: never wider than the terminal, never obeying what a name holds, plain lines where nobody watches.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { createLiveView } from '../../../device-sim/output/live.ts'
import { cellsOf, firstState, frameOf, nextState } from '../../../device-sim/output/live-frame.ts'
import { summaryText } from '../../../device-sim/output/summary-text.ts'
import type { RunEvent } from '../../../device-sim/results/summary.ts'
import { createLimits } from '../../../device-sim/run/limits.ts'
import { createWatch } from '../../../device-sim/run/watch.ts'
import { factsOf, latencies, sampleOf, summaryWith } from '../fakes/results.ts'

const ESCAPE = String.fromCharCode(27)
const evil = `${ESCAPE}[2J${ESCAPE}]0;owned\u0007\u202e\n\r\u009b31m`

/** A stream that remembers, with a terminal's size or none. */
function stream(size: { columns: number; rows: number } | null) {
  const written: string[] = []
  const write = (text: string) => written.push(text) > 0
  const known = {
    write,
    isTTY: size !== null,
    ...size,
    getColorDepth: () => 8,
    hasColors: () => true,
    on() {},
  }
  return { written, stream: known as unknown as NodeJS.WriteStream }
}

describe('a frame', () => {
  it('fits into every terminal, with every kind of name', () => {
    const name = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: fc.constantFrom('漢', 'é', '😀', 'x', ESCAPE) }),
    )
    fc.assert(
      fc.property(name, name, fc.integer({ min: 20, max: 200 }), (text, reason, columns) => {
        const facts = factsOf({ name: text, broker: text })
        const sample = sampleOf(3, {
          stage: text,
          refusals: { [reason]: { expected: 3, unexpected: 4 } },
          drops: { [text]: 1e6 },
        })
        for (const line of frameOf(firstState(facts, sample), columns)) {
          const whole = line.map(piece => piece.text).join('')
          assert.ok(cellsOf(whole) <= columns, `${cellsOf(whole)} cells of ${columns}: ${whole}`)
          assert.ok(!/\p{Cc}/u.test(whole), JSON.stringify(whole))
        }
      }),
    )
  })

  it('ends with the devices wrongly admitted and refused since the start, in red', () => {
    const state = firstState(factsOf(), sampleOf(1, { wronglyAdmitted: 1 }))
    const last = frameOf(nextState(state, sampleOf(2, { wronglyAdmitted: 1, wronglyRefused: 3 })), 80).at(-1)
    assert.equal(last?.map(piece => piece.text).join(''), 'wrongly      2 admitted · 3 refused')
    assert.deepEqual(last?.map(piece => piece.style).filter(style => style === 'red').length, 2)
  })
})

describe('the live view', () => {
  it('redraws on a terminal and takes itself away', async () => {
    const { written, stream: terminal } = stream({ columns: 60, rows: 30 })
    const view = await createLiveView(terminal, {})
    view.started?.(factsOf())
    view.sample?.(sampleOf(1))
    view.event?.({ elapsedSeconds: 1, kind: 'action', text: evil, good: false })
    const shown = written.join('')
    assert.match(stripVTControlCharacters(shown), /10 of 10 connected/)
    for (const part of [`${ESCAPE}[2J`, `${ESCAPE}]0`, '\u202e', '\u009b']) assert.ok(!shown.includes(part))
    view.end()
  })

  it("marks the simulator's own limit as a doubt, and only what failed as failed", async () => {
    const { written, stream: file } = stream(null)
    const view = await createLiveView(file, {})
    const limits = createLimits()
    const say = (kind: RunEvent['kind'], text: string, good: boolean): void =>
      view.event?.({ elapsedSeconds: 2, kind, text, good })
    const watch = createWatch({ say, limits })
    const sample = sampleOf(2)
    watch.look({ ...sample, tool: { ...sample.tool, lateMs: latencies(60) } })
    say('limit', 'a worker ended: its devices are gone', false)
    const said = written.map(line => stripVTControlCharacters(line))
    assert.match(said[0] ?? '', /^ +2\.0 s {2}! the simulator began its work \d+ ms late \(p99\)\n$/)
    assert.match(said[1] ?? '', /^ +2\.0 s {2}✗ a worker ended/)
  })

  it('writes plain lines off a terminal, and to one that says it is dumb', async () => {
    for (const [size, environment] of [
      [null, {}],
      [{ columns: 80, rows: 24 }, { TERM: 'dumb' }],
    ] as const) {
      const { written, stream: file } = stream(size)
      const view = await createLiveView(file, environment)
      view.started?.(factsOf())
      for (const second of [1, 2, 3]) view.sample?.(sampleOf(second, { wronglyAdmitted: 1 }))
      view.event?.({ elapsedSeconds: 3.25, kind: 'stage', text: 'run', good: true })
      view.end()
      assert.deepEqual(written, [
        'fake: 10 devices against mqtts://127.0.0.1:8883, seed 1\n',
        '    1.0 s  run · 10/10 connected · 0 admitted, 0 refused, 0 failed · 100 sent/s · acknowledge p99 2.99 ms · 1 WRONGLY ADMITTED\n',
        '    3.3 s  stage run\n',
      ])
    }
  })
})

describe('the summary as text', () => {
  it('says in one line each what was wrong, and lets no name steer the terminal', () => {
    const { stream: file } = stream(null)
    const checks = [
      {
        kind: 'threshold',
        expression: 'connected = 100%',
        observed: 0.5,
        passed: false,
        elapsedSeconds: null,
      },
      {
        kind: 'threshold',
        expression: 'acknowledge.p99 < 5ms',
        observed: 3,
        passed: true,
        elapsedSeconds: null,
      },
    ] as const
    const text = summaryText(
      summaryWith({ run: { name: evil }, lost: 2, findings: { checks: [...checks] } }),
      file,
    )
    assert.ok(!text.includes('\u202e') && !text.includes('\r'))
    assert.match(text, /breached +connected = 100% \(50 %\)/)
    assert.match(text, /kept +acknowledge.p99 < 5ms \(3 ms\)/)
    assert.match(text, /qos1 +1,000 sent, 1,000 acknowledged, 1,000 received, .*2 lost/)
    assert.match(text, /verdict +.*failed/)
  })
})
