// A run as CSV and as a job summary: every value in its column, and no name that becomes a formula, a cell or markup.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { csvHead, csvRow } from '../../../device-sim/output/csv.ts'
import { githubSummary } from '../../../device-sim/output/github-summary.ts'
import { sampleOf, summaryWith } from '../fakes/results.ts'

describe('CSV', () => {
  const row = (stage: string) => {
    const cells = csvRow({ ...sampleOf(1), stage }).split(',')
    return Object.fromEntries(csvHead.split(',').map((name, index) => [name, cells[index]]))
  }
  it('has a value for each column', () => {
    const sample = sampleOf(1)
    const cells = row('steady')
    assert.equal(Object.keys(cells).length, csvRow(sample).split(',').length)
    assert.equal(cells['stage'], 'steady')
    assert.equal(cells['connected'], String(sample.population.connected))
    assert.equal(cells['connect_p99_ms'], String(sample.connects.latencyMs.p99 ?? ''))
  })

  it('quotes what would end a cell, and takes the sign from what a spreadsheet would work out', () => {
    assert.match(csvRow({ ...sampleOf(1), stage: 'a,"b"' }), /,"a,""b""",/)
    assert.equal(row('=1+1')['stage'], "'=1+1")
  })
})

describe('the summary of a job', () => {
  it('says verdict, figures and promises, and lets no name be markup', () => {
    const summary = summaryWith({})
    const text = githubSummary({ ...summary, run: { ...summary.run, name: '<b>|x' } })
    assert.match(text, /^### &#60;b&#62;&#124;x: /)
    assert.match(text, /\| messages \| [\d,]+ sent/)
    for (const { passed } of summary.checks) assert.ok(text.includes(passed ? '✓' : '✗'))
  })
})
