// How Debian's clients take it when the broker ends a connection: mosquitto_sub comes back, openssl finds nothing truncated.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { start } from '../e2e/mosquitto.ts'
import type { Identity } from '../harness/authority.ts'
import { connectPacket, startTestBroker, type TestBroker } from '../harness/broker.ts'
import { publishPacket } from '../harness/raw-client.ts'
import { until } from '../harness/until.ts'

for (const gates of [0, 1]) {
  describe(`${gates} gates: a connection that the broker ends`, () => {
    let t: TestBroker
    let directory: string
    let identity: Identity
    beforeEach(async () => {
      t = await startTestBroker({ settings: { gates, maxSessionAgeMs: 1_000, connectTimeoutMs: 1_500 } })
      identity = await t.roll.enroll('d1')
      directory = mkdtempSync(join(t.roll.data, 'client-'))
      writeFileSync(join(directory, 'ca.crt'), t.roll.root.certificate)
      writeFileSync(join(directory, 'd1.crt'), identity.certificate)
      writeFileSync(join(directory, 'd1.key'), identity.key, { mode: 0o600 })
    })
    afterEach(async () => {
      rmSync(directory, { recursive: true, force: true })
      await t.close()
    })
    const at = (name: string) => join(directory, name)

    test('is opened again by mosquitto_sub, each time', async () => {
      const flags = `-h localhost -p ${t.broker.port} -i d1 -t devices/d1/# --cafile ${at('ca.crt')} --cert ${at('d1.crt')} --key ${at('d1.key')}`
      const client = start('mosquitto_sub', flags.split(' '))
      const connects = () => t.lines.filter(line => line.msg === 'connected' && line.deviceId === 'd1').length
      await until(() => connects() >= 3, 60_000)
      await client.stop('SIGKILL')
      assert.ok(t.lines.some(line => line.msg === 'cut' && line.reason === 'session_too_old'))
    })

    test('is no truncation for openssl s_client', async () => {
      const flags = `s_client -connect localhost:${t.broker.port} -CAfile ${at('ca.crt')} -cert ${at('d1.crt')} -key ${at('d1.key')} -quiet -ign_eof`
      for (const [name, sent] of Object.entries({
        refused: connectPacket({ clientId: 'other' }),
        denied: Buffer.concat([connectPacket({ clientId: 'd1' }), publishPacket('devices/other/x', 'x')]),
        old: connectPacket({ clientId: 'd1' }),
      })) {
        const { output } = await start('openssl', flags.split(' '), sent).ended
        assert.doesNotMatch(output, /unexpected eof/, name)
      }
    })
  })
}
