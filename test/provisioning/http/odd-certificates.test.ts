// Odd certificates at every way in: each is taken or refused for what it says, nothing answers 500, and neither a job nor the
// service ends by one, now or after a restart.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { prepareArrivalNotes } from '../../../db/issuers/arrivals.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { pemBlocks, toPem } from '../../../pki/pem.ts'
import { until } from '../../cli/running.ts'
import {
  commonNames,
  der,
  extensionOf,
  type ForgedCertificate,
  forgedCertificate,
  generalizedTime,
  isCa,
  noName,
  p256,
  sequence,
  usageBits,
} from '../../harness/certificate-forge.ts'
import { ask } from '../device-requests.ts'
import { makeCsr, type Service, startService, temporaryDirectory } from '../harness.ts'
import { imported, told } from '../jobs/uploads.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const san = (value: string, critical = false) => [extensionOf.subjectAltName(hex(value), critical)]
const dnsName = sequence(der(0x82, Buffer.from('unit-3')))

type Odd = { name: string; forgery: ForgedCertificate; refused: RegExp | null }
const odd: Odd[] = [
  { name: 'an ediPartyName', forgery: { extensions: san('3007a505a1030c0178') }, refused: null },
  {
    name: 'an empty subject',
    forgery: { subject: noName, extensions: [extensionOf.subjectAltName(dnsName, true)] },
    refused: null,
  },
  {
    name: 'an empty subject and no critical SAN',
    forgery: { subject: noName, extensions: [extensionOf.subjectAltName(dnsName)] },
    refused: /certificate\.subject/,
  },
  {
    name: 'an otherName without its tag',
    forgery: { extensions: san('300ea00c06082b060105050708040500') },
    refused: /extensions\.subjectAltName/,
  },
  ...(
    [
      'authorityInfoAccess',
      'certificatePolicies',
      'subjectKeyIdentifier',
      'authorityKeyIdentifier',
      'crlDistributionPoints',
    ] as const
  ).map(name => ({
    name: `${name} that does not decode`,
    forgery: { extensions: [extensionOf[name](hex('3003830161'))] },
    refused: new RegExp(`extensions\\.${name}`),
  })),
  {
    name: 'a notAfter that is no date',
    forgery: { notAfter: generalizedTime('20350101240000Z') },
    refused: /validity.*notAfter is no date/,
  },
  {
    name: 'a notBefore that is no date',
    forgery: { notBefore: generalizedTime('20211301000000Z') },
    refused: /validity.*notBefore is no date/,
  },
  {
    name: 'a notAfter in the year 49',
    forgery: { notAfter: generalizedTime('00491231235959Z') },
    refused: /expired at 0049/,
  },
]

test('every way in takes an odd certificate or says what is wrong with it', async t => {
  await using service = await startService()
  for (const [index, { name, forgery, refused }] of odd.entries()) {
    await t.test(name, async () => {
      const certificate = toPem(forgedCertificate(forgery), 'CERTIFICATE')
      const asAnchor = toPem(
        forgedCertificate({
          ...forgery,
          extensions: [
            ...(forgery.extensions ?? []),
            extensionOf.basicConstraints(isCa),
            extensionOf.keyUsage(usageBits(0x06)),
          ],
        }),
        'CERTIFICATE',
      )
      const deviceId = `odd-${index}`
      const dry = await imported(service, [{ deviceId, certificate, trust: 'pinned' }], '?dryRun=true')
      const { results } = await imported(service, [{ deviceId, certificate, trust: 'pinned' }])
      assert.deepEqual(told(dry.results), told(results))
      await service.call('POST', '/v1/devices', { id: `${deviceId}-one` })
      const own = toPem(forgedCertificate(forgery), 'CERTIFICATE')
      const answers = [
        await service.call('POST', `/v1/devices/${deviceId}-one/certificates`, {
          certificate: own,
          trust: 'pinned',
        }),
        await service.call('POST', '/v1/operators', {
          name: `operator-${index}`,
          role: 'viewer',
          certificate: toPem(forgedCertificate(forgery), 'CERTIFICATE'),
        }),
        await service.call('POST', '/v1/issuers', { certificate: asAnchor }),
      ]
      const explained = await service.call('POST', '/v1/admission', { certificate: own })
      assert.ok(explained.status < 500, explained.text)
      for (const { status, text } of answers) assert.ok(status < 500, text)
      if (refused === null) {
        assert.deepEqual(told(results), [[deviceId, 'listed']])
        assert.deepEqual(
          answers.slice(0, 2).map(({ status }) => status),
          [201, 201],
          String(answers[0]?.text),
        )
        const { body } = await service.call('GET', `/v1/devices/${deviceId}-one/admission`)
        assert.equal(body.wouldBeAdmitted, true)
        if (forgery.subject === noName) assert.equal(answers[0]?.body.subject, 'subjectAltName=dns:unit-3')
      } else {
        assert.deepEqual(told(results), [[deviceId, 'certificate_invalid']])
        assert.match((results[0] as unknown as { detail: string }).detail, refused)
        for (const [at, { status, body, text }] of answers.entries()) {
          assert.equal(status, 400, text)
          assert.equal(body.reason, at === 2 ? 'issuer_invalid' : 'certificate_invalid')
          assert.match(body.detail, at === 2 ? /certificate\./ : refused)
        }
      }
    })
  }
})

test('an import of odd rows ends, each row with its own result, and a restart finds nothing left to do', async () => {
  using folder = temporaryDirectory()
  const rows = odd.map(({ forgery }, index) => ({
    deviceId: `odd-${index}`,
    certificate: toPem(forgedCertificate(forgery), 'CERTIFICATE'),
    trust: 'pinned',
  }))
  const expected = odd.map(({ refused }, index) => [
    `odd-${index}`,
    refused === null ? 'listed' : 'certificate_invalid',
  ])
  {
    await using service = await startService({ data: folder.path })
    assert.deepEqual(told((await imported(service, rows)).results), expected)
  }
  await using again = await startService({ data: folder.path })
  const { body } = await again.call('GET', '/v1/jobs')
  assert.deepEqual(
    body.items.map(({ state }: { state: string }) => state),
    ['done'],
  )
  const { job } = await imported(again, [{ deviceId: 'plain' }])
  assert.equal(job.state, 'done')
})

/** A CA of somebody else on record, whose key is proven. */
async function maker(service: Service) {
  const signer = p256()
  const issuer = commonNames('Maker CA')
  const ca = forgedCertificate({
    subject: issuer,
    key: signer,
    extensions: [extensionOf.basicConstraints(isCa), extensionOf.keyUsage(usageBits(0x06))],
  })
  const id = fingerprintOf(ca)
  const added = await service.call('POST', '/v1/issuers', { certificate: toPem(ca, 'CERTIFICATE') })
  assert.equal(added.status, 201, added.text)
  const { body } = await service.call('POST', `/v1/issuers/${id}/challenge`)
  const proof = forgedCertificate({ subject: commonNames(body.nonce), issuer, signer })
  const proven = await service.call('POST', `/v1/issuers/${id}/proof`, {
    certificate: toPem(proof, 'CERTIFICATE'),
  })
  assert.equal(proven.status, 200, proven.text)
  return { id, issued: (forgery: ForgedCertificate) => forgedCertificate({ ...forgery, issuer, signer }) }
}

test('arrivals that are odd are refused one by one, and the next device registers itself', async () => {
  await using service = await startService({ lifecycleJobMs: 50 })
  const { id: issuerId, issued } = await maker(service)
  const set = await service.call('PUT', `/v1/issuers/${issuerId}/registration`, {
    mode: 'active',
    nameTemplate: 'd-$'.concat('{fingerprint}'),
  })
  assert.equal(set.status, 200, set.text)
  const ders = [...odd.map(({ forgery }) => issued(forgery)), issued({})]
  const registry = openForWriting(join(service.directory, 'registry.db'))
  try {
    prepareArrivalNotes(registry.sqlite)(
      ders.map((bytes, index) => ({
        fingerprint: fingerprintOf(bytes),
        issuerId,
        der: bytes,
        address: '192.0.2.1',
        at: Date.now() - 1_000 + index,
      })),
    )
    const count = (sql: string, ...values: string[]) =>
      registry.sqlite
        .prepare(sql)
        .pluck()
        .get(...values)
    await until(
      async () => count('SELECT count(*) FROM arrivals WHERE decided_at IS NULL') === 0,
      'all arrivals are decided',
    )
    const told = registry.sqlite.prepare('SELECT reason, detail FROM arrivals').all()
    assert.deepEqual(
      ders.map(bytes =>
        count('SELECT count(*) FROM certificates WHERE fingerprint = ?', fingerprintOf(bytes)),
      ),
      [...odd.map(({ refused }) => (refused === null ? 1 : 0)), 1],
      JSON.stringify(told),
    )
    assert.deepEqual(count('SELECT group_concat(DISTINCT reason) FROM arrivals'), 'certificate_invalid')
  } finally {
    await closeRegistry(registry)
  }
})

test('an IDevID whose end is no date enrolls nothing', async () => {
  await using service = await startService()
  const { id, issued } = await maker(service)
  const set = await service.call('PUT', `/v1/issuers/${id}/enrollment`, {
    mode: 'active',
    nameTemplate: '$'.concat('{cn}'),
  })
  assert.equal(set.status, 200, set.text)
  const csr = pemBlocks(makeCsr('p256').csr, 'CERTIFICATE REQUEST')[0]!.toString('base64')
  const enroll = (forgery: ForgedCertificate) => {
    const key = p256()
    const certificate = toPem(issued({ ...forgery, key }), 'CERTIFICATE')
    const identity = { certificate, key: key.export({ type: 'pkcs8', format: 'pem' }) as string }
    return ask(service, identity, 'POST', '/.well-known/est/simpleenroll', csr, {
      'content-type': 'application/pkcs10',
    })
  }
  const unreadable = await enroll({ notAfter: generalizedTime('20350101240000Z') })
  assert.equal(unreadable.status, 403, unreadable.bytes.toString())
  assert.match(unreadable.bytes.toString(), /notAfter is no date/)
  assert.equal((await enroll({})).status, 200)
})
