// A run as JUnit XML: a case for each promise, well-formed whatever a run brought.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { junitText } from '../../../device-sim/output/junit.ts'
import { summaryWith } from '../fakes/results.ts'

describe('JUnit XML', () => {
  it('has a case for each promise, and says what was observed where one is breached', () => {
    const checks = [
      { kind: 'threshold', expression: 'lost = 0', observed: 3, passed: false, elapsedSeconds: null },
      { kind: 'assert', expression: 'connected = 100%', observed: 1, passed: true, elapsedSeconds: 5 },
    ] as const
    const text = junitText(summaryWith({ findings: { checks: [...checks] } }))
    assert.match(text, /tests="5" failures="2" errors="0"/)
    assert.match(
      text,
      /classname="rollcall-sim.threshold" name="lost = 0" time="0">\s*<failure message="observed: 3"\/>/,
    )
    assert.match(text, /classname="rollcall-sim.assert" name="connected = 100% after 5 s" time="0"\/>/)
  })

  it('stays whole whatever names a run has', () => {
    const name = `"'><&]]>\u0000\u0008\ud800\uffff<!--`
    const text = junitText(summaryWith({ run: { name } }))
    assert.equal(text.includes('\u0000'), false)
    assert.equal(/name="[^"<&]*&#34;&#39;&#62;&#60;&#38;\]\]&#62;[^"<]*&#60;!--"/.test(text), true, text)
    assert.doesNotMatch(text, /[\ud800-\udfff\uffff]/)
  })
})
