// `rollcall events --follow` shows what happens while it runs, as lines for people and for programs, until the service ends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { until } from '../../harness/until.ts'
import { startService } from '../../provisioning/harness.ts'
import { launch } from '../running.ts'

for (const [output, line] of [
  ['jsonl', /^\{.*"kind":"suspended".*"deviceId":"a".*\}\n$/],
  ['table', /^20\S+Z {2}suspended {2}a {2}- {2}of=device\n$/],
] as const)
  test(`events are followed as ${output}, by the filters that were given`, async () => {
    const service = await startService()
    for (const id of ['a', 'b']) await service.call('POST', '/v1/devices', { id })
    const flags = ['--api', service.url, '--data', service.directory, '-o', output]
    const { child, ended } = launch(['events', '--follow', '--device', 'a', ...flags])
    await until(async () => /^rollcall_event_streams 1$/m.test(await service.running.metrics()))
    await service.call('POST', '/v1/devices/b/suspend')
    await service.call('POST', '/v1/devices/a/suspend')
    await once(child.stdout!, 'data')
    await service[Symbol.asyncDispose]()
    const { code, stdout, stderr } = await ended
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, line)
  })
