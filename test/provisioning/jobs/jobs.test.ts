// Imports over the API: what becomes of rows, run twice, cut off, refused as a whole, and beside other calls.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeRequests } from '../../../bench/requests.ts'
import { until } from '../../cli/running.ts'
import { assertProblem, makeCsr, selfSigned, startService } from '../harness.ts'
import { imported, type Line, lines, told, upload } from './uploads.ts'

test('a dry run tells what an import does then, and a second import finds it done', async () => {
  await using service = await startService()
  const { csr } = makeCsr('p256')
  const rows = [
    { deviceId: 'plain', attributes: { site: 'north' }, groups: ['pumps'] },
    { ThingName: 'aws', SerialNumber: '7', CSR: csr },
    { id: 'azure', status: 'disabled', authentication: { symmetricKey: { primaryKey: null } } },
    { deviceId: 'legacy', certificate: selfSigned('legacy').certificate, trust: 'pinned' },
    { deviceId: 'plain' },
    { deviceId: 'thief', csr },
    { deviceId: 'weak', csr: makeCsr('rsa1024').csr },
    { deviceId: 'stranger', certificate: selfSigned('x').certificate },
  ]
  const refused = [
    ['plain', 'row_duplicate'],
    ['thief', 'public_key_taken'],
    ['weak', 'key_unacceptable'],
    ['stranger', 'certificate_invalid'],
  ]
  const first = [
    ['plain', 'registered'],
    ['aws', 'enrolled'],
    ['azure', 'registered'],
    ['legacy', 'listed'],
    ...refused,
  ]
  const dry = await imported(service, rows, '?dryRun=true')
  assert.deepEqual(told(dry.results), first)
  assert.deepEqual((await service.call('GET', '/v1/devices')).body.items, [])

  const done = await imported(service, rows)
  assert.deepEqual(told(done.results), first)
  assert.deepEqual(done.job.counts, {
    registered: 2,
    enrolled: 1,
    listed: 1,
    changed: 0,
    unchanged: 0,
    refused: 4,
  })
  const states = (await service.call('GET', '/v1/devices')).body.items.map(
    (item: { id: string; state: string }) => [item.id, item.state],
  )
  assert.deepEqual(states, [
    ['aws', 'registered'],
    ['azure', 'suspended'],
    ['legacy', 'registered'],
    ['plain', 'registered'],
  ])
  const aws = await service.call('GET', '/v1/devices/aws')
  assert.deepEqual(aws.body.attributes, { SerialNumber: '7' })
  const enrolled = done.results[1] as Line & { certificate: string; chain: string[] }
  const listed = await service.call('GET', `/v1/certificates/${enrolled.fingerprint}`)
  assert.equal(listed.body.certificate, enrolled.certificate)
  assert.deepEqual(listed.body.chain, enrolled.chain)

  const again = await imported(service, rows)
  assert.deepEqual(
    told(again.results).slice(0, 4),
    ['plain', 'aws', 'azure', 'legacy'].map(id => [id, 'unchanged']),
  )
  assert.equal(again.results[1]?.fingerprint, enrolled.fingerprint)
  assert.equal((await service.call('GET', '/v1/certificates')).body.items.length, 2)

  const other = await imported(service, [{ deviceId: 'plain', attributes: { site: 'south' } }])
  assert.deepEqual(told(other.results), [['plain', 'device_differs']])
  await service.call('POST', '/v1/devices/legacy/decommission')
  const gone = await imported(service, [{ deviceId: 'legacy', csr: makeCsr('p256').csr }])
  assert.deepEqual(told(gone.results), [['legacy', 'device_state_forbids']])
  const audit = await service.call('GET', '/v1/audit?action=job.finish')
  assert.equal(audit.body.items.length, 5)
})

test('CSV with mapped columns', async () => {
  await using service = await startService()
  const text = '\ufeffName,Where,groups\r\npump-1,"hall ""A""",a;b\r\npump-2,,\r\n'
  const { results } = await imported(service, text, '?map=deviceId=Name&map=attr.place=Where', 'text/csv')
  assert.deepEqual(told(results), [
    ['pump-1', 'registered'],
    ['pump-2', 'registered'],
  ])
  const { body } = await service.call('GET', '/v1/devices/pump-1')
  assert.deepEqual([body.attributes, body.groups], [{ place: 'hall "A"' }, ['a', 'b']])
})

test('a private key reaches neither disk nor answer', async () => {
  await using service = await startService()
  const { csr, key } = makeCsr('p256')
  const secret = key.split('\n')[1]!
  const rows = [
    { deviceId: 'a', csr: key },
    { deviceId: 'b', attributes: { k: key } },
    { deviceId: 'c', 'private-key': key },
    { deviceId: 'd', privateKey: secret },
    { deviceId: 'e', csr: csr + key },
  ]
  const { results, job } = await imported(service, rows)
  assert.equal(job.counts.refused, 5)
  assert.doesNotMatch(JSON.stringify(results), new RegExp(secret.replaceAll(/[+/]/g, '\\$&')))
  const folder = join(service.directory, 'jobs', job.id)
  for (const file of readdirSync(folder))
    assert.ok(!readFileSync(join(folder, file), 'utf8').includes(secret), file)
})

test('uploads that are none are refused, and leave nothing', async t => {
  await using service = await startService()
  const rows: [string, () => ReturnType<typeof upload>, number, string][] = [
    ['JSON', () => upload(service, '{}', '', 'application/json'), 415, 'media_type_unsupported'],
    [
      'compressed',
      () =>
        service.call('POST', '/v1/jobs', undefined, {
          raw: 'x',
          headers: { 'content-type': 'text/csv', 'content-encoding': 'gzip' },
        }),
      415,
      'media_type_unsupported',
    ],
    ['nothing', () => upload(service, '\n\n'), 400, 'upload_unusable'],
    ['broken CSV', () => upload(service, 'deviceId\n"a', '', 'text/csv'), 400, 'upload_unusable'],
    ['a mapping of nothing', () => upload(service, '{}', '?map=colour=x'), 400, 'request_invalid'],
    [
      'with an Idempotency-Key',
      () =>
        service.call('POST', '/v1/jobs', undefined, {
          raw: '{"deviceId":"a"}',
          headers: { 'content-type': 'application/x-ndjson', 'idempotency-key': 'k1' },
        }),
      400,
      'request_invalid',
    ],
    ['no such job', () => service.call('GET', `/v1/jobs/${crypto.randomUUID()}`), 404, 'job_unknown'],
  ]
  for (const [name, ask, status, reason] of rows)
    await t.test(name, async () => assertProblem(await ask(), status, reason))
  await t.test('broken in the middle of much more', async () => {
    assertProblem(
      await upload(service, `deviceId\na"b\n${'x\n'.repeat(2_000_000)}`, '', 'text/csv'),
      400,
      'upload_unusable',
    )
  })
  await t.test('cut off', async () => {
    const outgoing = request(`${service.url}/v1/jobs`, {
      method: 'POST',
      ca: service.ca,
      headers: { authorization: `Bearer ${service.token}`, 'content-type': 'application/x-ndjson' },
    })
    outgoing.on('error', () => {})
    outgoing.write('{"deviceId":"a"}\n')
    await until(() => readdirSync(join(service.directory, 'jobs')).length === 1, 'the upload began')
    outgoing.destroy()
    await until(() => readdirSync(join(service.directory, 'jobs')).length === 0, 'its rest is gone')
  })
  assert.deepEqual(readdirSync(join(service.directory, 'jobs')), [])
  assert.deepEqual((await service.call('GET', '/v1/jobs')).body.items, [])
})

test('ten jobs may wait, what is cancelled stops, and what was done stays', async () => {
  await using service = await startService()
  const rows = lines(Array.from({ length: 10_000 }, (_, index) => ({ deviceId: `d-${index}` })))
  const jobs: { id: string }[] = []
  for (let index = 0; index < 10; index += 1)
    jobs.push((await upload(service, index === 0 ? rows : '{"deviceId":"x"}')).body)
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await service.call('GET', `/v1/jobs?limit=3${cursor}`)
    seen.push(...body.items.map((job: { id: string }) => job.id))
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
  } while (cursor !== '')
  assert.deepEqual(seen.toSorted(), jobs.map(job => job.id).toSorted())
  assertProblem(await upload(service, '{"deviceId":"x"}'), 429, 'jobs_exceeded')
  await until(async () => (await service.call('GET', `/v1/jobs/${jobs[0]?.id}`)).body.rowsDone > 0, 'it runs')
  const cancelled = await service.call('POST', `/v1/jobs/${jobs[0]?.id}/cancel`)
  assert.equal(cancelled.body.state, 'cancelled')
  await until(
    async () => (await service.call('GET', `/v1/jobs/${jobs[9]?.id}`)).body.state === 'done',
    'the last is done',
  )
  const first = (await service.call('GET', `/v1/jobs/${jobs[0]?.id}`)).body
  assert.ok(first.rowsDone > 0 && first.rowsDone < 10_000, `${first.rowsDone}`)
  assertProblem(await service.call('POST', `/v1/jobs/${jobs[1]?.id}/cancel`), 409, 'job_finished')
})

test('a job goes on where it was when the service starts again', async () => {
  const first = await startService({ keep: true })
  const rows = Array.from({ length: 5_000 }, (_, index) => ({ deviceId: `d-${index}` }))
  const { id } = (await upload(first, lines(rows))).body
  await until(async () => (await first.call('GET', `/v1/jobs/${id}`)).body.rowsDone > 500, 'it runs')
  await first[Symbol.asyncDispose]()
  await using service = await startService({ data: first.directory })
  await until(async () => (await service.call('GET', `/v1/jobs/${id}`)).body.state === 'done', 'it is done')
  const { counts } = (await service.call('GET', `/v1/jobs/${id}`)).body
  assert.equal(counts.registered, 5_000)
  const results = (await service.call('GET', `/v1/jobs/${id}/results`)).text.trim().split('\n')
  assert.deepEqual(
    results.map(line => JSON.parse(line).row),
    Array.from({ length: 5_000 }, (_, index) => index + 1),
  )
})

test('other calls are answered while certificates are issued by the hundred', async t => {
  await using service = await startService()
  const requests = await makeRequests('bulk', 600)
  await imported(service, requests.slice(0, 100))
  const { id } = (await upload(service, lines(requests.slice(100)))).body
  // CPU and not time: how long this machine lets others run is none of ours.
  let before = process.threadCpuUsage()
  let longestMs = 0
  const looks = setInterval(() => {
    const { user, system } = process.threadCpuUsage(before)
    longestMs = Math.max(longestMs, (user + system) / 1_000)
    before = process.threadCpuUsage()
  }, 1)
  let answered = 0
  await until(async () => {
    answered += 1
    return (await service.call('GET', `/v1/jobs/${id}`)).body.state === 'done'
  }, 'it is done')
  clearInterval(looks)
  t.diagnostic(`${answered} calls answered, the event loop was busy for ${Math.round(longestMs)} ms at most`)
  assert.ok(answered > 3)
  // A chunk at a time: in one go it would be as long as all the signatures take.
  assert.ok(longestMs < 250, `the event loop was busy for ${longestMs} ms`)
  const { counts } = (await service.call('GET', `/v1/jobs/${id}`)).body
  assert.equal(counts.enrolled, 500)
})
