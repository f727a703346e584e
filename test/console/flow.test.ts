// What an operator does in a day, in a real browser with real MQTT clients: from signing in to a verified audit log.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { asDevice, run } from '../e2e/mosquitto.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { until } from '../harness/until.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

describe('an operator in the console', () => {
  const world = scratch()
  let system: System
  let browser: Browser
  let view: Watched
  let subscriber: ChildProcess | undefined
  before(async () => {
    await buildConsole()
    ;[system, browser] = await Promise.all([startSystem(world.at('data')), launchBrowser()])
    view = await openConsole(browser, system.ready.api)
  })
  after(async () => {
    subscriber?.kill()
    await browser?.close()
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  const files = {
    key: world.at('pump.key'),
    certificate: world.at('pump.crt'),
    ca: world.at('data', 'ca.crt'),
  }
  const strangeFiles = { ...files, key: world.at('strange.key'), certificate: world.at('strange.crt') }
  const publish = (id = 'pump-1', shown = files) =>
    run('mosquitto_pub', [
      ...asDevice(system.mqttsPort, { id, files: shown }),
      ...['-t', 'devices/pump-1/t', '-m', '1', '-q', '1'],
    ])

  it('signs in with the first token, and sees what to do with an empty roll', async () => {
    await view.signIn(readFileSync(world.at('data', 'admin.token'), 'utf8').trim())
    await view.page.getByText('The roll is empty').waitFor()
    await view.page.getByRole('link', { name: 'Enroll the first device' }).click()
  })

  it('enrolls a device with a request that openssl made, and gets its certificate', async () => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', files.key]
    await run('openssl', ['req', '-new', ...key, '-out', world.at('pump.csr'), '-subj', '/CN=any'])
    const { page } = view
    await page.getByLabel('Device ID').fill('pump-1')
    // Dropped or chosen, a file ends up in the text.
    await page.getByLabel('Drop a .csr').setInputFiles(world.at('pump.csr'))
    await page.getByLabel('Groups').fill('pumps')
    await page.getByRole('button', { name: 'Issue the certificate' }).click()
    await page.getByText('pump-1 is on the roll.').waitFor()
    const pem = await page.getByRole('region', { name: 'Certificate and chain' }).innerText()
    writeFileSync(files.certificate, `${pem}\n`)
    assert.match(
      await page.getByRole('region', { name: 'Command' }).innerText(),
      /mosquitto_pub .*-i pump-1/s,
    )
  })

  it('sees it connect as it does', async () => {
    const { page } = view
    await page.getByRole('link', { name: 'Watch pump-1 connect' }).click()
    await page.getByText('Not connected').waitFor()
    assert.equal((await publish()).code, 0)
    const args = [...asDevice(system.mqttsPort, { id: 'pump-1', files }), '-t', 'devices/pump-1/commands/+']
    subscriber = spawn('mosquitto_sub', args, { stdio: 'ignore' })
    await page.getByText('devices/pump-1/commands/+').waitFor()
    await page.getByText('MQTT 3.1.1, TLSv1.3').waitFor()
  })

  it('sees its session, and ends it: the device comes back by itself', async () => {
    const { page } = view
    const since = async () =>
      (await system.api.list<{ since: string }>('/v1/devices/pump-1/sessions'))[0]?.since ?? null
    const before = await since()
    await view.goTo('/sessions?view=connected')
    await page.getByRole('row', { name: /pump-1.*connected/ }).waitFor()
    await page.getByRole('button', { name: 'End…' }).click()
    await page.getByRole('button', { name: 'End', exact: true }).click()
    await page.getByText('every broker acted').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await until(async () => ![null, before].includes(await since()))
  })

  it('finds it by its group and by its fingerprint', async () => {
    const { page } = view
    const find = page.getByRole('searchbox', { name: 'Find a device' })
    await find.fill('pump')
    await find.press('Enter')
    await page.getByRole('row', { name: /pump-1.*connected/ }).waitFor()
    assert.match(page.url(), /\/console\/devices\?search=pump$/)
    const [certificate] = await system.api.list<{ fingerprint: string }>('/v1/certificates')
    await find.fill(certificate!.fingerprint.slice(0, 16))
    await find.press('Enter')
    await page.getByRole('link', { name: 'pump-1' }).click()
    await page.getByRole('heading', { name: 'pump-1', level: 1 }).waitFor()
  })

  it('asks what it may, and is told which statement decides', async () => {
    const { page } = view
    await page.getByRole('link', { name: 'Policy', exact: true }).click()
    await page.getByLabel('Topic').fill('devices/other/t')
    await page.getByRole('button', { name: 'Ask' }).click()
    await page.getByText('No statement allows it').waitFor()
    await page.getByLabel('Topic').fill('devices/pump-1/t')
    await page.getByRole('button', { name: 'Ask' }).click()
    await page.getByText('Decided by policy default, statement 1').waitFor()
  })

  it('revokes its certificate, which names what it cuts, wants it typed, and shows the receipt', async () => {
    const { page } = view
    await page.getByRole('link', { name: 'Certificates', exact: true }).click()
    await page.getByRole('button', { name: 'Revoke…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('1 live session: pump-1 from 127.0.0.1').waitFor()
    assert.equal(await dialog.getByRole('button', { name: 'Revoke' }).isDisabled(), true)
    await dialog.getByLabel('Reason').selectOption('keyCompromise')
    await dialog.getByLabel('Type pump-1 to confirm').fill('pump-1')
    const ended = new Promise(resolve => subscriber?.once('exit', resolve))
    await dialog.getByRole('button', { name: 'Revoke' }).click()
    await dialog.getByText('every broker acted').waitFor()
    await dialog.getByText('1 of 1 acknowledged').waitFor()
    await dialog.getByText('1 session', { exact: true }).waitFor()
    // mosquitto_sub tries again by itself; it is turned away.
    subscriber?.kill('SIGKILL')
    await ended
    assert.notEqual((await publish()).code, 0)
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByText('revoked, for good (keyCompromise)').waitFor()
    await page.getByRole('link', { name: 'Summary' }).click()
    await page.getByText('would be refused').waitFor()
    await page.getByText('Its client is told 0x8a by MQTT 5, CONNACK 5 by MQTT 3.1.1.').waitFor()
    await page.getByText('The certificate is revoked', { exact: true }).first().waitFor()
  })

  it('sees in the live feed that it knocks and is refused, as it does', async () => {
    const { page } = view
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
    const out = ['-keyout', strangeFiles.key, '-out', strangeFiles.certificate, '-subj', '/CN=pump-1']
    await run('openssl', ['req', '-x509', '-new', ...curve, ...out])
    await page.getByRole('link', { name: 'Live feed' }).click()
    await page.getByText('live', { exact: true }).waitFor()
    await page
      .getByRole('row', { name: /revoked pump-1/ })
      .first()
      .waitFor()
    await page.getByLabel('Kind').selectOption('refused')
    await page.getByText('live', { exact: true }).waitFor()
    await page
      .getByRole('row', { name: /revoked pump-1/ })
      .first()
      .waitFor({ state: 'hidden' })
    const known = await page.getByRole('row').count()
    for (let knock = 0; knock < 2; knock += 1)
      assert.notEqual((await publish('pump-1', strangeFiles)).code, 0)
    await page
      .getByRole('row', { name: /refused.*certificate_self_signed/ })
      .first()
      .waitFor()
    assert.ok((await page.getByRole('row').count()) > known)
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByRole('img', { name: /Connected \d+, .*The certificate is revoked/ }).waitFor()
  })

  it('verifies the audit log, which tells all of it', async () => {
    const { page } = view
    await page.getByRole('link', { name: 'Audit', exact: true }).first().click()
    await page.getByRole('button', { name: 'Verify now' }).click()
    await page.getByText('intact').waitFor()
    for (const action of ['device.add', 'certificate.issue', 'certificate.revoke'])
      await page.getByRole('cell', { name: action }).first().waitFor()
  })

  it('did all of it within the content policy, on one origin, and left nothing in the browser', async () => {
    await view.assertHarmless()
  })

  it('signs out, and the cookie is worth nothing', async () => {
    const { page, context } = view
    const cookies = await context.cookies()
    assert.deepEqual(
      cookies.map(({ name, httpOnly, secure, sameSite }) => ({ name, httpOnly, secure, sameSite })),
      [{ name: '__Host-rollcall', httpOnly: true, secure: true, sameSite: 'Strict' }],
    )
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('API token').waitFor()
    await context.addCookies(cookies)
    const answer = await context.request.get(`${system.ready.api}/v1/whoami`)
    assert.equal(answer.status(), 401)
  })
})
