// The clauses of `sim conformance`: each is seen to fail at a broker that breaks it, and Debian's mosquitto is the control.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { conformanceJunit } from '../../../device-sim/conformance/junit.ts'
import {
  type ClauseResult,
  clauses,
  type Identity,
  playClauses,
} from '../../../device-sim/conformance/run.ts'
import { findRunTarget } from '../../../device-sim/run/target.ts'
import { startMosquitto } from '../../e2e/mosquitto-server.ts'
import { scratch } from '../../e2e/system.ts'
import { numbers5, numbers311 } from '../../harness/mqtt-statements.ts'
import { startHangUp, startYesSayer } from '../fakes/lying-brokers.ts'

const identities = (count: number): Identity[] =>
  Array.from({ length: count }, (_, n) => ({
    clientId: `conformance${n}`,
    credentials: null,
    username: null,
    password: null,
    prefix: `conformance/${n}/`,
  }))

function play(url: string, patienceMs: number, more: { only?: string } = {}): Promise<ClauseResult[]> {
  const { broker } = findRunTarget({ target: {} }, { broker: url }, {}, null)
  return playClauses({
    broker,
    identities: identities(20),
    versions: [4, 5],
    patienceMs,
    again: false,
    ...more,
  })
}

const failed = (results: ClauseResult[]) =>
  results
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ version, id, what }) => `${version} ${id} ${what}`)

describe('the clauses of sim conformance', () => {
  it('are many, of both versions, and no two are the same', () => {
    const names = ([4, 5] as const).map(version =>
      clauses.flatMap(({ id, what }) => (id[version] === undefined ? [] : [`${id[version]} ${what}`])),
    )
    for (const own of names) {
      assert.ok(own.length >= 60, String(own.length))
      assert.equal(new Set(own).size, own.length)
    }
  })

  it('have the numbers that the standards give', () => {
    for (const [version, numbers] of [
      [4, numbers311],
      [5, numbers5],
    ] as const) {
      const known = new Set(numbers.map(number => `MQTT-${number}`))
      // Printed so in MQTT 3.1.1.
      if (version === 4) known.add('MQTT-3-8.3-4')
      const unknown = clauses.flatMap(({ id }) => id[version] ?? []).filter(id => !/^§[1-6]\.\d/.test(id))
      assert.deepEqual(
        unknown.filter(id => !known.has(id)),
        [],
      )
    }
  })

  it('can each fail: one of two brokers that break the standard does not pass it', async () => {
    using yesSayer = await startYesSayer()
    using hangUp = await startHangUp()
    const runs = await Promise.all([play(yesSayer.url, 250), play(hangUp.url, 250)])
    const seen = new Set(runs.flatMap(failed))
    const all = runs[0].map(({ version, id, what }) => `${version} ${id} ${what}`)
    assert.deepEqual(
      all.filter(name => !seen.has(name)),
      [],
    )
    // The reason says what was seen, not only that it failed.
    assert.match(
      runs[0].find(({ what }) => what === 'a second CONNECT')?.reason ?? '',
      /was not closed after/,
    )
    const junit = conformanceJunit({ broker: 'x', at: '2026-11-30T00:00:00Z', clauses: runs[0] })
    assert.equal(junit.match(/<failure /g)?.length, failed(runs[0]).length)
  })

  it("pass at Debian's mosquitto, but for what it is known to do otherwise", async () => {
    using context = scratch()
    await using mosquitto = await startMosquitto(
      port => {
        writeFileSync(context.at('m.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`)
        return context.at('m.conf')
      },
      port =>
        new Promise(resolve => {
          const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
          socket.once('connect', () => socket.destroy())
        }),
    )
    const results = await play(`mqtt://127.0.0.1:${mosquitto.port}`, 3_000)
    const why = JSON.stringify(
      results.filter(({ outcome }) => outcome === 'failed').map(({ id, reason }) => [id, reason]),
    )
    assert.deepEqual(
      failed(results),
      [
        '4 MQTT-2.2.2-2 a PINGREQ with flags',
        '4 MQTT-4.8.0-1 a packet that only a server sends',
        '5 §3.1.4 a client whose session is taken over is told so by DISCONNECT 0x8E',
        '5 MQTT-2.1.3-1 a PINGREQ with flags',
        '5 MQTT-4.13.1-1 a packet that only a server sends',
        '5 MQTT-4.8.2-1 a shared subscription without a name',
        '5 MQTT-3.3.2-14 a Response Topic with a wildcard',
        '5 MQTT-3.3.4-6 a Subscription Identifier from a client',
        '5 MQTT-3.8.3-4 No Local on a shared subscription',
        '5 §4.8.2 a shared subscription gets no retained messages when it is made',
        '5 §3.1.2.11.10 Authentication Data without an Authentication Method',
      ],
      why,
    )
  })
})
