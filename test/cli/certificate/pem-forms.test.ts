// The forms of PEM that files have: the commands and an import read the same certificate out of each, or refuse it both.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readCertificateFile } from '../../../cli/certificate/argument.ts'
import type { CheckContext } from '../../../cli/doctor/finding.ts'
import { checkCa } from '../../../cli/doctor/keys.ts'
import { enrollRequest } from '../../../cli/enrollment/enrollment.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { certificateOf } from '../../../provisioning/ca/issuing-ca.ts'
import { makeCsr, selfSigned, startService } from '../../provisioning/harness.ts'
import { imported, told } from '../../provisioning/jobs/uploads.ts'
import { temporaryDirectory } from '../running.ts'

const other = selfSigned('other').certificate
const labelled = (label: string) => (pem: string) => pem.replaceAll(' CERTIFICATE-', ` ${label}-`)
const body = (pem: string) => pem.trim().split('\n').slice(1, -1).join('')

const openssl = (pem: string, ...flags: string[]) =>
  execFileSync('openssl', ['x509', ...flags], { input: pem, encoding: 'utf8' })

const read: Record<string, (pem: string) => string> = {
  plain: pem => pem,
  'text before it': pem => openssl(pem, '-text'),
  'attributes of a PKCS 12 before it': pem => `Bag Attributes\n    localKeyID: 01\nsubject=CN = x\n${pem}`,
  'text behind it': pem => `${pem}made on a Monday\n`,
  'a chain behind it': pem => pem + other,
  'a request before it': pem => makeCsr('p256').csr + pem,
  CRLF: pem => pem.replaceAll('\n', '\r\n'),
  CR: pem => pem.replaceAll('\n', '\r'),
  'trailing whitespace': pem => pem.replaceAll('\n', ' \t\n'),
  'empty lines': pem => pem.replaceAll('\n', '\n\n'),
  indented: pem => pem.replaceAll(/^/gm, '  '),
  'a byte order mark': pem => `\ufeff${pem}`,
  'no final newline': pem => pem.trimEnd(),
  'one long line': pem => `-----BEGIN CERTIFICATE-----\n${body(pem)}\n-----END CERTIFICATE-----\n`,
  'no lines': pem => `-----BEGIN CERTIFICATE-----${body(pem)}-----END CERTIFICATE-----`,
  'X509 CERTIFICATE': labelled('X509 CERTIFICATE'),
  'TRUSTED CERTIFICATE': labelled('TRUSTED CERTIFICATE'),
  'TRUSTED CERTIFICATE with its settings': pem => openssl(pem, '-trustout', '-addtrust', 'clientAuth'),
}

const refused: Record<string, (pem: string) => string> = {
  'no block': () => 'a certificate\n',
  'a block without its end': pem => pem.slice(0, 300),
  'a second block without its end': pem => pem + other.slice(0, 300),
  'a first block without its end': pem => other.slice(0, 300) + pem,
  'ended by another label': pem => pem.replace('END CERTIFICATE', 'END CERTIFICATE REQUEST'),
  'another label': labelled('ATTRIBUTE CERTIFICATE'),
  'a request': () => makeCsr('p256').csr,
}

test('the commands and an import read the same forms of PEM', async () => {
  using folder = temporaryDirectory()
  const file = join(folder.path, 'device.pem')
  const inFile = (text: string) => {
    writeFileSync(file, text)
    return readCertificateFile(file)
  }
  await using service = await startService()

  const forms = Object.entries(read).map(([name, form], at) => {
    const { certificate } = selfSigned(`d${at}`)
    return {
      name,
      deviceId: `d${at}`,
      text: form(certificate),
      fingerprint: fingerprintOf(new X509Certificate(certificate).raw),
    }
  })
  for (const { name, text, fingerprint } of forms) {
    assert.equal(fingerprintOf(new X509Certificate(await inFile(text)).raw), fingerprint, name)
  }
  const rows = forms.map(({ deviceId, text }) => ({ deviceId, certificate: text, trust: 'pinned' }))
  const { results } = await imported(service, rows)
  assert.deepEqual(
    results.map(({ outcome, fingerprint }, at) => [forms[at]?.name, outcome, fingerprint]),
    forms.map(({ name, fingerprint }) => [name, 'listed', fingerprint]),
  )
  const again = await imported(service, rows)
  assert.deepEqual(
    told(again.results),
    forms.map(({ deviceId }) => [deviceId, 'unchanged']),
  )

  const odd = Object.entries(refused).map(([name, form], at) => ({
    name,
    deviceId: `r${at}`,
    text: form(selfSigned(`r${at}`).certificate),
  }))
  for (const { name, text } of odd) await assert.rejects(inFile(text), /holds no certificate/, name)
  const none = odd.map(({ deviceId, text }) => ({ deviceId, certificate: text, trust: 'pinned' }))
  assert.deepEqual(
    told((await imported(service, none)).results),
    odd.map(({ deviceId }) => [deviceId, 'certificate_invalid']),
  )
})

test('a start and the doctor read the CA in the same forms, and refuse a file with two certificates', async () => {
  using folder = temporaryDirectory()
  const [root, issuing] = [join(folder.path, 'ca.crt'), join(folder.path, 'issuing.crt')]
  await (await startService({ data: folder.path }))[Symbol.asyncDispose]()
  const [ca, below] = [readFileSync(root, 'utf8'), readFileSync(issuing, 'utf8')]
  const looked = () => {
    const context = { data: folder.path, now: Date.now(), env: {} } as unknown as CheckContext
    return checkCa(context).map(({ verdict }) => verdict)
  }
  const sound = looked()
  assert.ok(sound.length > 1 && !sound.includes('fail'), String(sound))
  const { 'a chain behind it': two, ...forms } = read
  for (const [name, form] of Object.entries(forms)) {
    writeFileSync(root, form(ca))
    writeFileSync(issuing, form(below))
    assert.deepEqual(looked(), sound, name)
    assert.equal(certificateOf(form(ca), root).fingerprint256, new X509Certificate(ca).fingerprint256, name)
  }
  writeFileSync(root, forms['indented']!(forms['CR']!(ca)))
  await (await startService({ data: folder.path }))[Symbol.asyncDispose]()
  writeFileSync(root, two!(ca))
  await assert.rejects(startService({ data: folder.path }), /must hold exactly one certificate/)
  for (const form of Object.values(refused)) {
    writeFileSync(root, form(ca))
    assert.deepEqual(looked(), ['fail'])
  }
})

test('a private key beside the certificate stays at home, and a row that holds one is refused', async () => {
  using folder = temporaryDirectory()
  const file = join(folder.path, 'device.pem')
  const { key, certificate } = selfSigned('keyed')
  const text = key + certificate
  writeFileSync(file, text)
  assert.equal(await readCertificateFile(file), new X509Certificate(certificate).toString())
  await using service = await startService()
  const { results } = await imported(service, [{ deviceId: 'keyed', certificate: text, trust: 'pinned' }])
  assert.deepEqual(told(results), [[null, 'private_key_sent']])
})

test('a file with two requests is refused before anything is sent', async () => {
  using folder = temporaryDirectory()
  const csrFile = join(folder.path, 'two.csr')
  writeFileSync(csrFile, makeCsr('p256').csr + makeCsr('p256').csr)
  const sent = () => assert.fail('a request was sent')
  const certificateFile = join(folder.path, 'device.crt')
  await assert.rejects(enrollRequest(sent, { csrFile, certificateFile }), /holds 2 requests/)
})
