// The audit log for people: what persons did apart from what devices and the service did, and a day in a few lines.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeCsr, type Service, startService } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

let service: Service
before(async () => {
  service = await startService()
  for (const id of ['a', 'b', 'c', 'd']) await service.call('POST', '/v1/devices', { id })
  const made = await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'a' })
  const enrolled = await service.call(
    'POST',
    '/v1/enroll',
    { csr: makeCsr('p256').csr },
    { token: made.body.token },
  )
  assert.equal(enrolled.status, 201, enrolled.text)
})
after(() => service[Symbol.asyncDispose]())

const asked = (...args: string[]) =>
  rollcallHere('audit', ...args, '--api', service.url, '--data', service.directory)
const rows = (text: string) =>
  text
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))

test('rows are by people or by machines', async () => {
  const people = rows((await asked('list', '--by', 'people', '-o', 'jsonl')).stdout)
  assert.equal(people.filter(({ action }) => action === 'device.add').length, 4)
  assert.ok(people.every(({ actorKind }) => ['token', 'certificate', 'local'].includes(actorKind)))
  const machines = rows((await asked('search', '--by', 'machines', '-o', 'jsonl')).stdout)
  assert.ok(machines.some(({ action, target }) => action === 'certificate.issue' && target.length === 64))
  assert.ok(machines.every(({ actorKind }) => ['enrollment', 'device', 'service'].includes(actorKind)))
  const all = rows((await asked('search', '-o', 'jsonl')).stdout)
  assert.equal(people.length + machines.length, all.length)
})

test('a digest sums up a day', async () => {
  const { code, stdout, stderr } = await asked('digest')
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^ACTOR +ACTION +TIMES +TO +LAST\nadmin\.token +device\.add +4 +d, c, b … +20/)
  assert.doesNotMatch(stdout, /certificate\.issue/)
  assert.match((await asked('digest', '--machines')).stdout, /certificate\.issue +1 /)
  const before = await asked('digest', '--day', '2001-01-01')
  assert.deepEqual([before.code, before.stdout, before.stderr], [0, '', 'nothing was done on 2001-01-01\n'])
  assert.equal((await asked('digest', '--day', 'monday')).code, 2)
})
