// CSRs that are malformed, forged or hold a key we do not accept.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pemBlocks, toPem } from '../../../pki/pem.ts'
import { assertProblem, makeCsr, startService } from '../harness.ts'

const damaged = (csr: string, change: (der: Buffer) => Buffer) =>
  toPem(change(pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!), 'CERTIFICATE REQUEST')

test('malformed and unacceptable CSRs are refused with a path and a reason, and nothing is recorded', async t => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const { csr, key } = makeCsr('p256')
  const flipped = (der: Buffer) => {
    der[der.length - 5]! ^= 1
    return der
  }
  const rows: [string, string, string, RegExp][] = [
    ['an empty text', '', 'csr_invalid', /exactly one PEM block/],
    ['no PEM', 'hello', 'csr_invalid', /exactly one PEM block/],
    ['PEM of garbage', toPem(Buffer.from('garbage'), 'CERTIFICATE REQUEST'), 'csr_invalid', /not a PKCS #10/],
    ['a truncated request', damaged(csr, der => der.subarray(0, -10)), 'csr_invalid', /not a PKCS #10/],
    [
      'bytes behind the request',
      damaged(csr, der => Buffer.concat([der, Buffer.from([5, 0])])),
      'csr_invalid',
      /not a PKCS #10/,
    ],
    ['two requests', csr + csr, 'csr_invalid', /it holds 2/],
    ['a private key with it', csr + key, 'csr_invalid', /contains a private key/],
    ['a certificate instead', service.ca, 'csr_invalid', /exactly one PEM block/],
    ['a bad signature', damaged(csr, flipped), 'csr_invalid', /signature does not verify/],
    [
      'the key of somebody else',
      damaged(csr, der => swapKey(der)),
      'csr_invalid',
      /signature does not verify|no public key/,
    ],
    ['RSA 1024', makeCsr('rsa1024').csr, 'key_unacceptable', /rsa1024/],
    ['RSA 2048 with exponent 3', makeCsr('rsa2048e3').csr, 'key_unacceptable', /exponent is 3/],
    ['P-521', makeCsr('p521').csr, 'key_unacceptable', /P-521/],
    ['secp256k1', makeCsr('secp256k1').csr, 'key_unacceptable', /secp256k1/],
    ['a SHA-1 signature', makeCsr('rsa2048', ['-subj', '/CN=x', '-sha1']).csr, 'csr_invalid', /SHA-1/],
  ]
  for (const [name, text, reason, words] of rows) {
    await t.test(name, async () => {
      const answer = await service.call('POST', '/v1/devices/pump-1/certificates', { csr: text })
      assertProblem(answer, 400, reason)
      assert.match(answer.body.errors[0].message, words)
      assert.match(answer.body.errors[0].path, /^csr/)
    })
  }
  await t.test('more than 16 KiB', async () => {
    const answer = await service.call('POST', '/v1/devices/pump-1/certificates', { csr: 'x'.repeat(16_385) })
    assertProblem(answer, 400, 'request_invalid')
    assert.match(JSON.stringify(answer.body.errors), /csr/)
  })
  assert.deepEqual((await service.call('GET', '/v1/certificates')).body.items, [])
})

/** Another public key of the same kind in a signed request. */
function swapKey(der: Buffer): Buffer {
  const other = pemBlocks(makeCsr('p256').csr, 'CERTIFICATE REQUEST')[0]!
  const marker = Buffer.from('03420004', 'hex')
  const point = other.subarray(other.indexOf(marker) + 4, other.indexOf(marker) + 68)
  point.copy(der, der.indexOf(marker) + 4)
  return der
}
