// What people and programs read: tables, documents, errors, log lines, merged metrics. Pure, without processes.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CommandFailed, exitCodes, report, UsageError } from '../../../cli/errors.ts'
import { formatExplanation } from '../../../cli/explain/command.ts'
import { collect, keyValue, portNumber, wholeNumber } from '../../../cli/options.ts'
import { atMost, type Format, printDocument, printPages, readAhead } from '../../../cli/output/format.ts'
import { printReceipt } from '../../../cli/output/receipt.ts'
import { readableLine } from '../../../cli/service/log-lines.ts'
import { mergeMetrics } from '../../../cli/service/merged-metrics.ts'
import type { Explanation } from '../../../client/types.ts'

function sink() {
  const texts: string[] = []
  return { write: (text: string) => texts.push(text), text: () => texts.join('') }
}

async function* pagesOf<Item>(...pages: Item[][]) {
  yield* pages
}

describe('output', () => {
  const columns = [
    { heading: 'ID', cell: (item: { id: string; n: number | null }) => item.id },
    { heading: 'NUMBER', cell: (item: { id: string; n: number | null }) => item.n },
  ]
  const pages = () =>
    pagesOf(
      [
        { id: 'a', n: 1 },
        { id: 'longer', n: null },
      ],
      [{ id: 'b', n: 22 }],
    )
  const written = async (format: Format) => {
    const out = sink()
    const count = await printPages(pages(), columns, format, out)
    assert.equal(count, 3)
    return out.text()
  }

  it('aligns a table and shows nothing as a dash', async () => {
    assert.equal(await written('table'), 'ID      NUMBER\na       1\nlonger  -\nb       22\n')
  })

  it('writes one document for json and yaml, a line each for jsonl', async () => {
    assert.equal(JSON.parse(await written('json')).length, 3)
    assert.equal(await written('jsonl'), '{"id":"a","n":1}\n{"id":"longer","n":null}\n{"id":"b","n":22}\n')
    assert.match(await written('yaml'), /^- id: a\n {2}n: 1\n/)
  })

  it('writes no heading where there is nothing, and an empty list for programs', async () => {
    const [table, json] = [sink(), sink()]
    await printPages(pagesOf([]), columns, 'table', table)
    await printPages(pagesOf([]), columns, 'json', json)
    assert.equal(table.text(), '')
    assert.equal(json.text(), '[]\n')
  })

  it('asks for no further page once the limit is reached', async () => {
    let asked = 0
    async function* counted() {
      for (;;) {
        asked++
        yield [1, 2]
      }
    }
    const taken: number[] = []
    for await (const items of atMost(counted(), 3)) taken.push(...items)
    assert.deepEqual(taken, [1, 2, 1])
    assert.equal(asked, 2)
  })

  it('asks for the next page before the one at hand is taken, and for none beyond the limit', async () => {
    const said: string[] = []
    async function* pages() {
      for (const page of [1, 2, 3]) {
        said.push(`asked ${page}`)
        yield [page]
      }
    }
    for await (const [page] of readAhead(atMost(pages(), 2))) {
      await null
      said.push(`taken ${page}`)
    }
    assert.deepEqual(said, ['asked 1', 'asked 2', 'taken 1', 'taken 2'])
  })

  it('writes every page that came before a failure, then fails', async () => {
    async function* pages() {
      yield [{ id: 'a', n: 1 }]
      throw new CommandFailed('the service is gone', 'start it')
    }
    const out = sink()
    await assert.rejects(printPages(readAhead(pages()), columns, 'table', out), /the service is gone/)
    assert.equal(out.text(), 'ID  NUMBER\na   1\n')
  })

  it('shows a key type as standards name it, and leaves it to programs as it is stored', async () => {
    const device = { keyType: 'ml-dsa-65', certificates: [{ keyType: 'p256' }, { keyType: 'rsa2048' }] }
    const [table, json] = [sink(), sink()]
    await printDocument(device, 'table', table)
    await printDocument(device, 'json', json)
    assert.equal(table.text(), 'keyType       ML-DSA-65\ncertificates  keyType=P-256, keyType=rsa2048\n')
    assert.deepEqual(JSON.parse(json.text()), device)
  })

  it('lets no control character of a subject reach a terminal', async () => {
    const out = sink()
    await printDocument(
      { subject: 'CN=\u001b[2Jevil\nroot\u202e', list: ['\u0007'], map: { '\u001b': 'x' } },
      'table',
      out,
    )
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    assert.doesNotMatch(out.text(), /[\u0000-\u0009\u000b-\u001f\u202e]/)
    assert.equal(out.text().split('\n').length, 4)
  })
})

describe('an error', () => {
  it('is said on a line, with what to do on the next, and gives the exit code', () => {
    const out = sink()
    assert.equal(report(new CommandFailed('it broke', 'mend it'), out), exitCodes.failed)
    assert.equal(report(new UsageError('what?', 'say it well'), out), exitCodes.usage)
    assert.equal(out.text(), 'error: it broke\nhint: mend it\nerror: what?\nhint: say it well\n')
  })

  it('names every field that a problem document names', () => {
    const out = sink()
    const findings = [{ path: 'body.id', message: 'too long' }]
    report(Object.assign(new Error('the body is not valid'), { hint: 'look', findings }), out)
    assert.equal(out.text(), 'error: the body is not valid\n  body.id: too long\nhint: look\n')
  })

  it('shows its stack where it is a bug, and only there', () => {
    const [bug, outage] = [sink(), sink()]
    report(new TypeError('x is not a function'), bug)
    report(new Error('the disk is full'), outage)
    assert.match(bug.text(), /\n +at /)
    assert.doesNotMatch(outage.text(), /\n +at /)
  })
})

describe('options', () => {
  it('reads whole numbers within bounds, and nothing else', () => {
    assert.equal(portNumber('0'), 0)
    assert.equal(portNumber('65535'), 65_535)
    for (const odd of ['', '-1', '65536', '1e3', '0x10', '1.5', ' 1', '9'.repeat(30)]) {
      assert.throws(() => portNumber(odd), /whole number from 0 to 65535/, odd)
    }
    assert.throws(() => wholeNumber(1, 825)('826'))
  })

  it('collects pairs and repeated values; a key of every name is just a key', () => {
    const pairs = keyValue('b==', keyValue('__proto__=x', undefined))
    assert.deepEqual(Object.entries(pairs), [
      ['__proto__', 'x'],
      ['b', '='],
    ])
    assert.throws(() => keyValue('b=2', pairs), /given twice/)
    assert.throws(() => keyValue('=x', undefined), /key=value/)
    assert.deepEqual(collect('b', collect('a', undefined)), ['a', 'b'])
  })
})

describe('the log at a terminal', () => {
  it('is a short line with time, service, level, message and fields', () => {
    const line = JSON.stringify({
      level: 40,
      time: 0,
      pid: 1,
      hostname: 'h',
      msg: 'refused',
      reason: 'not_tls',
      n: 2,
    })
    assert.match(
      readableLine('broker', line),
      /^.*\d\d:\d\d:\d\d.* broker .*warn.* refused reason=not_tls n=2$/,
    )
    assert.match(
      readableLine('broker', '{"time":"2026-01-02T03:04:05.678Z","service":"broker","msg":"up"}'),
      /:04:05.* broker up$/,
    )
  })

  it('leaves what is no JSON as it is, made harmless', () => {
    assert.equal(readableLine('broker', 'Error: \u001b[31mred'), 'broker Error: \u{fffd}[31mred')
    assert.equal(readableLine('broker', '7'), 'broker 7')
  })
})

describe('an explanation in words', () => {
  const explanation: Explanation = {
    subject: { kind: 'device', id: 'pump-1' },
    wouldBeAdmitted: false,
    reason: 'device_suspended',
    message: 'The device is suspended',
    hint: 'activate it',
    answer: { mqtt5: '0x8a', mqtt311: 5 },
    checks: [
      { name: 'on_the_roll', outcome: 'passed', reason: null, inputs: { listed: true, chain: null } },
      { name: 'device_state', outcome: 'failed', reason: 'device_suspended', inputs: { state: 'suspended' } },
      { name: 'key', outcome: 'skipped', reason: null, inputs: {} },
    ],
    certificates: [{ fingerprint: 'ff', wouldBeAdmitted: false, reason: 'device_suspended', checks: [] }],
    refusals: [
      {
        at: '2026-01-01T00:00:00.000Z',
        reason: 'device_suspended',
        address: '::1',
        fingerprint: 'ff',
        count: 3,
        mqtt5: '0x8a',
        mqtt311: 5,
      },
    ],
  }

  it('marks every check, says why and what to do, and lists the last refusals', () => {
    assert.equal(
      formatExplanation(explanation),
      `device pump-1 would be refused: device_suspended
The device is suspended

✓ on_the_roll   listed true
✗ device_state  device_suspended: state suspended
– key           not asked any more

Certificates:
  ✗ ff device_suspended

Its client is told: 0x8a by MQTT 5, CONNACK 5 by MQTT 3.1.1

What to do: activate it

Refused lately:
  2026-01-01T00:00:00.000Z device_suspended (0x8a by MQTT 5) from ::1, certificate ff…, 3 times
`,
    )
  })

  it('has no advice for a device that would be admitted', () => {
    const admitted = { ...explanation, wouldBeAdmitted: true, reason: null, answer: null, refusals: [] }
    assert.match(formatExplanation(admitted), /^device pump-1 would be admitted\n/)
    assert.doesNotMatch(formatExplanation(admitted), /What to do/)
  })
})

describe('a receipt in words', () => {
  const receipt = { epoch: 3, nodesTotal: 2, nodesAcknowledged: 1, sessionsCut: 1, unreachable: ['node-2'] }

  it('tells what was cut, and warns of nodes that did not acknowledge', () => {
    const out = sink()
    printReceipt('it is revoked', receipt, out)
    assert.match(
      out.text(),
      /^it is revoked; 1 session cut, 1 of 2 brokers acknowledged\nwarning: not acknowledged by node-2: /,
    )
  })

  it('says that no broker runs', () => {
    const out = sink()
    printReceipt('it is revoked', { ...receipt, nodesTotal: 0, unreachable: [] }, out)
    assert.equal(out.text(), 'it is revoked; no broker runs: whichever starts next knows\n')
  })
})

describe('merged metrics', () => {
  it('hold every family once, and tell services apart only where they share a series', () => {
    const one =
      '# HELP a_total A.\n# TYPE a_total counter\na_total{x="{y}"} 1\na_total 4\n# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\n'
    const two = '# HELP a_total A.\n# TYPE a_total counter\na_total 5\n# EOF\nb 6\n'
    assert.equal(
      mergeMetrics([
        { service: 'one', text: one },
        { service: 'two', text: two },
      ]),
      '# HELP a_total A.\n# TYPE a_total counter\n' +
        'a_total{x="{y}"} 1\na_total{service="one"} 4\na_total{service="two"} 5\n' +
        '# TYPE h histogram\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\nb 6\n',
    )
  })
})
