// What a policy gives to a key that a TPM proved, in a live session: given, taken with the record of the TPM, and given again; never to another key.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import mqtt from 'mqtt'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../broker-beside.ts'
import { startService } from '../harness.ts'
import { deviceOf, enroll, makerOf } from './tpm-devices.ts'

test('a topic that asks for the proof is open to the session of a proven key, as long as its TPM is on record', async () => {
  await using service = await startService()
  await using cleanup = new AsyncDisposableStack()
  const broker = cleanup.adopt(await beside(service), running => running.close())
  const topics = [`proven/\${device.attested}/\${device.id}`]
  const document = { name: 'proven', statements: [{ effect: 'allow', actions: ['publish'], topics }] }
  await service.call('PUT', '/v1/policies/proven', document)
  await service.call('PUT', '/v1/policies/proven/attachments/everyone')

  const maker = await makerOf(service)
  const device = await deviceOf(maker.ca)
  const { deviceId, certificate, chain } = (await enroll(service, device)).body
  const client = await mqtt.connectAsync({
    ...{ protocol: 'mqtts', host: '127.0.0.1', port: broker.port, ca: service.ca, servername: 'localhost' },
    ...{ clientId: deviceId, cert: certificate + chain.join(''), protocolVersion: 5, reconnectPeriod: 0 },
    key: device.key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  })
  cleanup.defer(() => client.endAsync(true))
  /** The Reason Code of the PUBACK. */
  const published = (by: mqtt.MqttClient, topic: string): Promise<number> =>
    by.publishAsync(topic, 'x', { qos: 1 }).then(
      () => 0,
      (error: { code?: number }) => error.code ?? -1,
    )
  const topic = `proven/tpm/${deviceId}`
  assert.equal(await published(client, topic), 0)
  assert.equal(await published(client, `proven//${deviceId}`), 0x87)

  const plain = await connect(service, broker.port, 'plain-1', { protocolVersion: 5 })
  cleanup.defer(() => plain.client.endAsync(true))
  assert.equal(await published(plain.client, 'proven/tpm/plain-1'), 0x87, 'no TPM proved its key')
  assert.equal(await published(plain.client, topic), 0x87)

  // What vouches for the TPM is a right: it goes, and comes back, in the session that there is.
  const path = `/v1/devices/${deviceId}/endorsement-key`
  const spki = device.tpm.endorsement.publicKey.export({ type: 'spki', format: 'der' })
  const endorsementKey = createHash('sha256').update(spki).digest('hex')
  assert.equal((await service.call('PUT', path, { endorsementKey: null })).status, 200)
  await until(async () => (await published(client, topic)) === 0x87)
  assert.equal((await service.call('PUT', path, { endorsementKey })).status, 200)
  await until(async () => (await published(client, topic)) === 0)
  assert.ok(client.connected)
})
