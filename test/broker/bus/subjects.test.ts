// Topics as NATS subjects: there and back for every topic, and a filter's subjects match just the topics that it matches.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { longSubject, subjectOf, subjectsFor, topicOf } from '../../../broker/bus/subjects.ts'
import { compileMatcher, parseFilter } from '../../../policy/topic-filter.ts'

const level = fc.oneof(
  fc.constantFrom(
    '',
    '.',
    '*',
    '>',
    '=',
    '=e',
    '=002e',
    ' ',
    '$',
    '$SYS',
    'a',
    'ä',
    '🜁',
    '\t',
    '\u00a0',
    '\u2028',
    '+1',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
)
const topic = fc
  .array(level, { minLength: 1, maxLength: 6 })
  .map(levels => levels.join('/'))
  .filter(text => text !== '' && !/[+#\0]/.test(text))
const filter = fc
  .tuple(
    fc.array(fc.oneof(fc.constantFrom('+', 'a', '', '$SYS', '.', '*'), level), {
      minLength: 1,
      maxLength: 4,
    }),
    fc.boolean(),
  )
  .map(([levels, open]) => [...levels, ...(open ? ['#'] : [])].join('/'))
  .filter(text => text !== '' && parseFilter(text) !== null)

/** As nats-server matches (NATS documentation, subject-based messaging). */
function natsMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.')
  const tokens = subject.split('.')
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return tokens.length > at
    if (at >= tokens.length || (token !== '*' && token !== tokens[at])) return false
  }
  return wanted.length === tokens.length
}

describe('topics as subjects of NATS', () => {
  it('leads back to the same topic, by a subject that NATS takes', () => {
    fc.assert(
      fc.property(topic, text => {
        const subject = subjectOf('r', text)!
        assert.equal(topicOf('r', subject), text)
        assert.match(subject, /^r\.[ts](\.[^\s.*>\0-\x20\x7f]+)+$/)
        assert.ok(subject.isWellFormed())
      }),
      { numRuns: 2_000 },
    )
  })

  it('gives no topic for a subject that no topic has', () => {
    for (const subject of [
      'r',
      'r.t',
      'r.t.=e',
      'r.t.a',
      'x.t.a.=e',
      'r.u.a.=e',
      'r.t.=0061.=e',
      'r.t.$a.=e',
      'r.s.a.=e',
    ])
      assert.equal(topicOf('r', subject), null, subject)
  })

  it('matches by a filter’s subjects just what the filter matches', () => {
    fc.assert(
      fc.property(filter, topic, (asked, text) => {
        const subject = subjectOf('r', text)!
        const isMatched = subjectsFor('r', asked).some(pattern => natsMatches(pattern, subject))
        assert.equal(isMatched, compileMatcher(parseFilter(asked)!)(text), `${asked} and ${text}`)
      }),
      { numRuns: 5_000 },
    )
  })

  it('keeps a filter without wildcards to one subject', () => {
    assert.deepEqual(subjectsFor('r', 'a/b'), ['r.t.a.b.=e'])
    assert.deepEqual(subjectsFor('r', 'a/+/#'), ['r.t.a.*.>', longSubject('r')])
  })

  it('sends topics that are too long for a subject where all filters that may match them listen', () => {
    const long = `a/${'.'.repeat(65_000)}`
    assert.equal(subjectOf('r', long), null)
    for (const asked of [long, 'a/#', '+/+', '#'])
      assert.ok(subjectsFor('r', asked).includes(longSubject('r')), asked)
    assert.ok(Buffer.byteLength(subjectOf('r', 'b'.repeat(2_000))!) <= 2_048)
  })
})
