// Every command of docs/acme.md, run as it is written by a shell, against a service of its own and a broker beside it.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { blocksOf } from '../../harness/document.ts'
import { until } from '../../harness/until.ts'
import { beside } from '../broker-beside.ts'
import { startService, temporaryDirectory } from '../harness.ts'
import { shell } from '../shell.ts'

const repository = new URL('../../../', import.meta.url).pathname
/** uacme trusts the CAs of the system alone: ours takes their place where nobody else sees it. */
const mayMount = spawnSync('unshare', ['-rm', 'true']).status === 0

test('every command in the document about ACME works as it is written', async t => {
  // The certificates are due for renewal once the clock is set forward to what it is elsewhere.
  let offset = -70 * DAY_MS
  await using service = await startService({ receiptTimeoutMs: 20, now: () => Date.now() + offset })
  using folder = temporaryDirectory()
  symlinkSync(service.directory, join(folder.path, 'data'))
  symlinkSync(join(repository, 'node_modules'), join(folder.path, 'node_modules'))
  await using cleanup = new AsyncDisposableStack()
  const broker = cleanup.adopt(await beside(service), running => running.close())
  const blocks = blocksOf('docs/acme.md')
  const begin = `rollcall() { node ${repository}cli/main.ts "$@"; }\nexport ROLLCALL_API=${service.url}\n`
  const run = (text: string) => shell(begin + text.replace('-p 8883', `-p ${broker.port}`), folder.path)
  const textOf = (heading: string, language = 'sh') => {
    const found = blocks.find(block => block.heading === heading && block.language === language)
    assert.ok(found, heading)
    return found.text
  }
  const made = await run(textOf('The operator').replace('https://127.0.0.1:8443', service.url))
  assert.equal(made.code, 0, made.output)
  const claim = await run(
    'rollcall claim create gateways --quota 50 --acme --out batch -o json --data data 2>&1',
  )
  assert.match(claim.output, /"kid": "[0-9a-f-]{36}"/)
  assert.match((await run('stat -c %a batch/acme.hmac')).output, /^600$/m)
  writeFileSync(join(folder.path, 'gateways/enroll.mjs'), textOf('Node', 'js'))

  const clients = [
    ['certbot', 'gateway-1'],
    ['lego', 'gateway-2'],
    ['dehydrated', 'gateway-3'],
    ['uacme', 'gateway-4'],
    ['Node', 'gateway-5'],
  ] as const
  assert.deepEqual(
    blocks.filter(({ language }) => language === 'sh').map(({ heading }) => heading),
    ['The operator', ...clients.map(([name]) => name), 'Renewal'],
  )
  for (const [name, id] of clients) {
    const skip = name === 'uacme' && !mayMount
    await t.test(`${name} enrolls a device, which publishes`, { skip }, async () => {
      const text = textOf(name)
      const trusting = `mount --bind gateways/ca.crt /etc/ssl/certs/ca-certificates.crt\n`
      if (name === 'uacme')
        writeFileSync(
          join(folder.path, 'uacme.sh'),
          begin + trusting + text.replace('-p 8883', `-p ${broker.port}`),
        )
      const { code, output } = await run(name === 'uacme' ? 'unshare -rm bash -euo pipefail uacme.sh' : text)
      assert.equal(code, 0, output)
      // The broker notes a first connection a moment later.
      await until(async () => {
        const { items } = (await service.call('GET', `/v1/certificates?deviceId=${id}`)).body
        return items.length === 1 && items[0].status === 'active' && items[0].subject === `CN=${id}`
      })
    })
  }

  await t.test('certbot, lego and dehydrated renew by the account that they have', async () => {
    offset = 0
    const { code, output } = await run(textOf('Renewal'))
    assert.equal(code, 0, output)
    for (const [, id] of clients.slice(0, 3)) {
      const { items } = (await service.call('GET', `/v1/certificates?deviceId=${id}`)).body
      const statuses = items.map(({ status }: { status: string }) => status).toSorted()
      assert.deepEqual(statuses, ['active', 'issued'], `${id}: ${output}`)
    }
    const rows = (await service.call('GET', '/v1/audit?action=certificate.issue&limit=100')).body.items
    const renewals = rows.filter(({ actor }: { actor: string }) => actor.startsWith('device:'))
    assert.equal(renewals.length, 3)
  })
})
