// The commands of mosquitto-tls(7), with which most fleets of mosquitto made their certificates: its CA becomes a trust anchor, and
// its clients go on the roll, as they are.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import mqtt from 'mqtt'
import { readCertificate } from '../../pki/certificate-reader.ts'
import { beside } from '../provisioning/broker-beside.ts'
import { startService, temporaryDirectory } from '../provisioning/harness.ts'

/** As the manual has them; what it asks at the terminal is given by -subj and -passout. */
function byTheManual(directory: string, name: string) {
  const openssl = (line: string, ...more: string[]) =>
    execFileSync('openssl', [...line.split(' '), ...more], { cwd: directory, stdio: 'pipe' })
  openssl(
    'req -new -x509 -days 30 -extensions v3_ca -keyout ca.key -out ca.crt',
    '-subj',
    '/CN=My CA',
    '-nodes',
  )
  openssl('genrsa -aes256 -passout pass:word -out client.key')
  openssl('req -out client.csr -key client.key -passin pass:word -new', '-subj', `/CN=${name}`)
  openssl('x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out client.crt -days 30')
  const read = (file: string) => readFileSync(join(directory, file), 'utf8')
  const key = createPrivateKey({ key: read('client.key'), passphrase: 'word' })
  return {
    ca: read('ca.crt'),
    certificate: read('client.crt'),
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
}

const versionOf = (pem: string) => {
  const reading = readCertificate(new X509Certificate(pem).raw)
  return 'certificate' in reading ? reading.certificate.version : null
}

for (const how of ['pinned', 'under its CA'] as const) {
  test(`a client made by mosquitto-tls(7) is registered ${how}, and connects`, async t => {
    using folder = temporaryDirectory()
    const made = byTheManual(folder.path, 'pump-1')
    t.diagnostic(`X.509 version ${versionOf(made.certificate)}`)
    await using service = await startService()
    await service.call('POST', '/v1/devices', { id: 'pump-1' })
    const register = (trust: string) =>
      service.call('POST', '/v1/devices/pump-1/certificates', { certificate: made.certificate, trust })
    if (how === 'pinned') assert.equal((await register('pinned')).status, 201)
    else {
      const anchor = await service.call('POST', '/v1/issuers', { certificate: made.ca })
      assert.equal(anchor.status, 201, anchor.text)
      if (versionOf(made.certificate) === 1) {
        const refused = await register('chained')
        assert.equal(refused.status, 400)
        assert.match(refused.body.detail, /rollcall issuer profile [0-9a-f]{64} --accept-v1 yes/)
        const set = await service.call('PUT', `/v1/issuers/${anchor.body.id}/profile`, { acceptV1: true })
        assert.deepEqual(set.body, { issuerId: anchor.body.id, acceptV1: true }, set.text)
        const { body } = await service.call('GET', `/v1/issuers/${anchor.body.id}`)
        assert.equal(body.anchor.acceptV1, true)
      }
      const listed = await register('chained')
      assert.equal(listed.status, 201, listed.text)
    }
    const broker = await beside(service)
    try {
      const client = await mqtt.connectAsync({
        ...{
          protocol: 'mqtts',
          host: '127.0.0.1',
          port: broker.port,
          ca: service.ca,
          servername: 'localhost',
        },
        ...{ clientId: 'pump-1', cert: made.certificate, key: made.key, reconnectPeriod: 0 },
      })
      await client.endAsync()
    } finally {
      await broker.close()
    }
  })
}
