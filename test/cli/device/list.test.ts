// Lists of devices on the command line: when they were seen, in any order, with any columns, and what is told of a mistake.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry } from '../../../db/index.ts'
import { openForNotes } from '../../../db/open.ts'
import { type Service, startService } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

let service: Service
const hour = 3_600_000
const now = Date.now()
before(async () => {
  service = await startService()
  for (const id of ['fresh', 'here', 'old', 'recent'])
    await service.call('POST', '/v1/devices', { id, attributes: { site: `the ${id}` } })
  const registry = openForNotes(`${service.directory}/registry.db`)
  const notes = createBrokerNotes(registry)
  notes.enter('broker', 0, now)
  const live = { since: now - hour, address: '192.0.2.7', fingerprint: 'f'.repeat(64), protocolLevel: 5 }
  const rest = { sessionKept: true, messagesWaiting: 3, bytesIn: 10, bytesOut: 20 }
  const ended = (ago: number) => ({
    ...live,
    since: now - ago - hour,
    until: now - ago,
    reason: 'connection_lost',
  })
  notes.lastSeen('broker', [
    { deviceId: 'here', live, ended: null, ...rest },
    { deviceId: 'recent', live: null, ended: ended(hour), ...rest },
    { deviceId: 'old', live: null, ended: ended(8 * 24 * hour), ...rest },
  ])
  const session = {
    deviceId: 'here',
    clientId: 'here',
    fingerprint: '',
    address: '192.0.2.7',
    since: now,
    facts: {},
  }
  notes.liveSessions('broker', [{ deviceId: 'here', sessions: [session] }])
  await closeRegistry(registry)
})
after(() => service[Symbol.asyncDispose]())

const flags = () => ['--api', service.url, '--data', service.directory]
const list = async (...args: string[]) => {
  const { code, stdout, stderr } = await rollcallHere('device', 'list', ...args, '-o', 'jsonl', ...flags())
  assert.equal(code, 0, stderr)
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}
const ids = async (...args: string[]) => (await list(...args)).map(({ id }) => id)

test('finds devices by when they were last seen, in any order', async () => {
  assert.deepEqual(await ids('--last-seen', 'before:7d'), ['old'])
  assert.deepEqual(await ids('--last-seen', 'after:7d'), ['here', 'recent'])
  assert.deepEqual(await ids('--last-seen', 'before:1w', '--last-seen', 'after:2w'), ['old'])
  assert.deepEqual(await ids('--last-seen', 'never'), ['fresh'])
  assert.deepEqual(await ids('--connected-since', 'before:90m'), ['old', 'recent'])
  assert.deepEqual([await ids('--connected'), (await ids('--no-connected')).length], [['here'], 3])
  assert.deepEqual(await ids('--sort', '-last-seen'), ['here', 'recent', 'old', 'fresh'])
  assert.deepEqual(await ids('--sort', 'last-seen', '--limit', '2'), ['fresh', 'old'])
  assert.deepEqual(await ids('--attr', 'site=the old'), ['old'])
  assert.deepEqual(await ids('--search', 'o site:"the old"'), ['old'])
  const [old] = await list('--last-seen', 'before:7d')
  assert.deepEqual(old.lastSeen, {
    ...{
      connectedAt: iso(8 * 24 * hour + hour),
      disconnectedAt: iso(8 * 24 * hour),
      reason: 'connection_lost',
    },
    ...{ address: '192.0.2.7', fingerprint: 'f'.repeat(64), protocol: '5', sessionKept: true },
    ...{ messagesWaiting: 3, bytesIn: 10, bytesOut: 20 },
  })
})

const iso = (ago: number) => new Date(now - ago).toISOString()

test('shows the columns that somebody asks for', async () => {
  const asked = ['--columns', 'id,connected,last-seen,reason,bytes-in', '--sort', 'id']
  const { stdout } = await rollcallHere('device', 'list', ...asked, ...flags())
  assert.deepEqual(
    stdout.split('\n').map(line => line.split(/ {2,}/)),
    [
      ['ID', 'CONNECTED', 'LAST SEEN', 'REASON', 'BYTES IN'],
      ['fresh', 'no', 'never', '-', '-'],
      ['here', 'yes', 'now', '-', '10'],
      ['old', 'no', iso(8 * 24 * hour), 'connection_lost', '10'],
      ['recent', 'no', iso(hour), 'connection_lost', '10'],
      [''],
    ],
  )
})

test('an export is narrowed as a list is, and says when devices were seen', async () => {
  const { stdout, stderr } = await rollcallHere('device', 'export', '--last-seen', 'before:7d', ...flags())
  assert.equal(JSON.parse(stdout).lastSeen?.reason, 'connection_lost', stderr)
  const csv = await service.call('GET', '/v1/export?format=csv&connected=true')
  assert.match(csv.text, /,lastSeen\.bytesOut\r\nhere,.*,192\.0\.2\.7,5,true,3,10,20\r\n$/)
})

test('says what was wrong with a filter, an order or a column', async () => {
  for (const [args, words] of [
    [['--last-seen', '7d'], /must be before:TIME or after:TIME, or never/],
    [['--last-seen', 'before:soon'], /length such as 12h or 7d, or a date/],
    [['--last-seen', 'before:2026-13-01'], /length such as 12h or 7d, or a date/],
    [['--sort', 'size'], /must be one of id, state, last-seen/],
    [['--columns', 'id,size'], /no column size; there are id, state/],
    [['--attr', 'site'], /must have the form name=value/],
  ] as const) {
    const { code, stderr } = await rollcallHere('device', 'list', ...args, ...flags())
    assert.deepEqual([code, words.test(stderr)], [2, true], stderr)
  }
})

test('a cursor goes on in the order that it was made for alone; a total is counted where it is asked for', async () => {
  const first = await service.call('GET', '/v1/devices?sort=-lastSeen&limit=3&total=true')
  assert.deepEqual(first.body.total, { count: 4, exact: true })
  const { nextCursor } = first.body
  const rest = await service.call('GET', `/v1/devices?sort=-lastSeen&cursor=${nextCursor}`)
  assert.deepEqual(
    rest.body.items.map(({ id }: { id: string }) => id),
    ['fresh'],
  )
  assert.equal((await service.call('GET', `/v1/devices?cursor=${nextCursor}`)).body.reason, 'cursor_invalid')
  const found = await service.call('GET', '/v1/devices?search=re&total=true')
  assert.deepEqual(found.body.total, { count: 1, exact: true })
})
