// The reason codes and the page that explains them, held against each other both ways.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Reason, type ReasonEntry, reasonCodes, reasons } from '../db/reason.ts'
import { reasonString, type V5Codes, v5Codes } from '../db/reason-v5.ts'

const page = readFileSync(new URL('../docs/reasons.md', import.meta.url), 'utf8')

/** How the page says what a device sees. */
const wordings: Record<ReasonEntry['seen'], RegExp> = {
  cut: /closed, without an MQTT answer/,
  close: /live connection closed/,
  '0x80': /SUBACK with 0x80/,
  1: /CONNACK 1 /,
  2: /CONNACK 2 /,
  3: /CONNACK 3 /,
  4: /CONNACK 4 /,
  5: /CONNACK 5 /,
}

type Entry = { code: string; text: string }

/** A section's first lines hold for each of its codes that does not say it differently. */
function entriesOf(markdown: string): Entry[] {
  return markdown.split(/^## /m).flatMap(section => {
    const [preamble = '', ...codes] = section.split(/^### /m)
    const shared = preamble.match(/^- \*\*.*?:\*\* .*$/gm) ?? []
    return codes.map(each => {
      const code = each.slice(0, each.indexOf('\n')).trim()
      const own = each.slice(code.length)
      const inherited = shared.filter(
        line => !own.includes(line.slice(line.indexOf('**'), line.indexOf(':**'))),
      )
      return { code, text: [own.trimEnd(), ...inherited].join('\n') }
    })
  })
}

test('docs/reasons.md explains every reason code once, and no other', () => {
  const explained = entriesOf(page).map(entry => entry.code)
  assert.deepEqual([...explained].sort(), [...reasonCodes].sort())
})

test('docs/reasons.md says of each what happened, what the device sees and what to do', () => {
  for (const { code, text } of entriesOf(page)) {
    const [happened = '', ...points] = text.trim().split(/\n+/)
    assert.match(happened, /^\S.{20,}\.$/, `${code} does not say what happened`)
    const seen = points.find(point => point.startsWith('- **The device sees:** ')) ?? ''
    assert.match(
      seen,
      wordings[reasons[code as Reason].seen],
      `${code} says another thing than the code does`,
    )
    assert.ok(
      points.some(point => /^(?:- )?\*\*Remedy:\*\* .{10,}/.test(point)),
      `${code} does not say what to do`,
    )
  }
})

/** How the page says a Reason Code, by the names of MQTT 5 §2.4. */
const v5Names: Record<number, string> = {
  129: '0x81 (malformed packet)',
  131: '0x83 (implementation specific error)',
  132: '0x84 (unsupported protocol version)',
  133: '0x85 (client identifier not valid)',
  134: '0x86 (bad user name or password)',
  135: '0x87 (not authorized)',
  138: '0x8A (banned)',
  140: '0x8C (bad authentication method)',
  141: '0x8D (keep alive timeout)',
  149: '0x95 (packet too large)',
  151: '0x97 (quota exceeded)',
  152: '0x98 (administrative action)',
  153: '0x99 (payload format invalid)',
  156: '0x9C (use another server)',
}

function v5Faults(code: Reason, text: string, { connack, disconnect, ack }: V5Codes): string[] {
  const line = /^- \*\*In MQTT 5:\*\* (.*)$/m.exec(text)?.[1]
  if (line === undefined) return [`${code} does not say what MQTT 5 tells`]
  const expected = [
    connack === null ? [] : [`CONNACK ${v5Names[connack]}`],
    disconnect === null ? [] : [`DISCONNECT ${v5Names[disconnect]} on a live session`],
    ack === null ? [] : [`${v5Names[ack]}; the connection stays`],
    connack === null && disconnect === null && ack === null ? ['no packet'] : [],
  ].flat()
  const named = (line.match(/0x\w\w/g) ?? []).length
  const faults = expected.filter(part => !line.includes(part)).map(part => `${code} does not say ${part}`)
  const codes = expected.filter(part => part.includes('0x')).length
  return named === codes ? faults : [...faults, `${code} names ${named} codes instead of ${codes}`]
}

test('docs/reasons.md says of each what a device that speaks MQTT 5 is told', () => {
  const faults = entriesOf(page).flatMap(({ code, text }) =>
    v5Faults(code as Reason, text, v5Codes[code as Reason]),
  )
  assert.deepEqual(faults, [])
  const expired = entriesOf(page).find(({ code }) => code === 'certificate_expired')!.text
  assert.equal(v5Faults('certificate_expired', expired, v5Codes.device_suspended).length, 1)
  assert.equal(v5Faults('certificate_expired', expired, v5Codes.not_tls).length, 2)
})

test('a reason without its MQTT 5 codes does not compile', () => {
  const { not_tls: _, ...incomplete } = v5Codes
  // @ts-expect-error: not_tls has no codes.
  const codes: Record<Reason, V5Codes> = incomplete
  assert.equal('not_tls' in codes, false)
})

test('a stranger is told nothing in MQTT 5, and a reason that is told has a Reason Code that refuses', () => {
  for (const code of reasonCodes) {
    const { connack, disconnect, ack } = v5Codes[code]
    const told = [connack, disconnect, ack].filter(each => each !== null)
    for (const each of told) assert.ok(each >= 0x80, `${code} is told as a success`)
    const { seen } = reasons[code]
    if (typeof seen === 'number') assert.notEqual(connack, null, `${code} is told in 3.1.1 and not in 5`)
    if (seen === 'cut' && code !== 'packet_too_large' && code !== 'packet_malformed')
      assert.deepEqual(told, [], code)
  }
})

test('a Reason String is the code and what to do', () => {
  assert.equal(
    reasonString('client_id_mismatch'),
    'client_id_mismatch: Set the client ID to the device ID (mosquitto_pub -i DEVICE-ID).',
  )
  for (const code of reasonCodes) assert.ok(Buffer.byteLength(reasonString(code)) < 200, code)
})

test('a missing, an extra and a repeated explanation are found', () => {
  const codes = (markdown: string) => entriesOf(markdown).map(entry => entry.code)
  assert.equal(codes(page.replace('### not_tls\n', '')).includes('not_tls'), false)
  assert.equal(codes(`${page}\n### made_up\n`).at(-1), 'made_up')
  assert.equal(codes(`${page}\n### not_tls\n`).filter(code => code === 'not_tls').length, 2)
})
