// What a browser shows where something is wrong: a bad token, a session that ended, a service that is down, a role too narrow.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { until } from '../cli/running.ts'
import { type Service, startService, temporaryDirectory } from '../provisioning/harness.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

describe('the console where something is wrong', () => {
  let service: Service
  let browser: Browser
  let view: Watched
  before(async () => {
    await buildConsole()
    ;[service, browser] = await Promise.all([startService({ keep: true }), launchBrowser()])
    await service.enroll('pump-1')
    await service.enroll('valve-1')
    view = await openConsole(browser, service.url)
  })
  after(async () => {
    await browser?.close()
    await service?.[Symbol.asyncDispose]()
    rmSync(service.directory, { recursive: true, force: true })
  })

  const tokenOf = async (role: string, group?: string) => {
    const order = { name: `${role}-${group ?? 'all'}`, role, ...(group === undefined ? {} : { group }) }
    return (await service.call('POST', '/v1/api-tokens', order)).body.token as string
  }

  it('refuses a wrong token with what to do, and forgets what was typed', async () => {
    const { page } = view
    await page.getByLabel('API token').fill(`rc_${'x'.repeat(43)}`)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByRole('alert').getByText('No such token is accepted.').waitFor()
    assert.equal(await page.getByLabel('API token').inputValue(), '')
    assert.equal(page.url(), `${service.url}/console/`)
    await page.getByRole('button', { name: 'Use an operator certificate' }).click()
    await page.getByRole('alert').getByText('This route asks for an API token').waitFor()
  })

  it('says of an address that is none, of a device and of a page that there are none', async () => {
    const { page } = view
    await view.signIn(service.token)
    await view.goTo('/nothing/at/all')
    await page.getByText('Nothing is at this address').waitFor()
    await view.goTo('/devices/pomp-1')
    await page.getByText('pomp-1 is not on the roll').waitFor()
    await view.goTo('/devices?search=zebra')
    await page.getByText('No device matches').waitFor()
    await view.goTo('/devices/%ff')
    await page.getByText('Nothing is at this address').waitFor()
  })

  it('says that no broker is beside the service, in place of an empty list', async () => {
    const { page } = view
    await view.goTo('/retained')
    await page.getByText('No broker lists retained messages in the data directory').waitFor()
    await page.getByText('Start a broker there, or ask a service that has one beside it.').waitFor()
    assert.equal(await page.getByText('Nothing is retained').count(), 0)
    await view.goTo('/devices/pump-1?view=policy')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByText('No broker answers in the data directory of this service').waitFor()
  })

  it('shows the sign-in where the session ended, and then what was there before, typed text included', async () => {
    const { page, context } = view
    await view.goTo('/devices/pump-1')
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Attributes').fill('site=north')
    await context.clearCookies()
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Your session has ended.').waitFor()
    await view.signIn(service.token)
    assert.equal(page.url(), `${service.url}/console/devices/pump-1`)
    assert.equal(await page.getByLabel('Attributes').inputValue(), 'site=north')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('north', { exact: true }).waitFor()
  })

  it('ends the session where nobody sat before the page for half an hour', async () => {
    const left = await openConsole(browser, service.url)
    await left.page.clock.install()
    await left.signIn(service.token)
    await left.page.clock.fastForward('29:00')
    await left.page.keyboard.press('Shift')
    await left.page.clock.fastForward('29:00')
    assert.equal(await left.page.getByText('Your session has ended.').count(), 0)
    await left.page.clock.fastForward('02:00')
    await left.page.getByText('Your session has ended.').waitFor()
    // The page does not wait for the answer to its farewell.
    const asked = async () => (await left.context.request.get(`${service.url}/v1/whoami`)).status()
    await until(async () => (await asked()) === 401, 'the session has ended at the service')
    await left.context.close()
  })

  it('goes on with the session of another tab, where that is of the same operator', async () => {
    const first = await openConsole(browser, service.url)
    await first.signIn(service.token)
    const other = await first.context.newPage()
    // Signing in there ends the session that this page began with.
    await other.goto(`${service.url}/console/`)
    await other.evaluate(
      token =>
        fetch('/v1/session', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ token }),
        }).then(() => undefined),
      service.token,
    )
    // As it is answered where it was asked under the session before.
    const late = { status: 401, json: { status: 401, reason: 'session_ended' } }
    await first.page.route('**/v1/devices/valve-1', route => route.fulfill(late), { times: 1 })
    await first.goTo('/devices/valve-1')
    await first.page.getByRole('button', { name: 'Edit' }).click()
    await first.page.getByLabel('Attributes').fill('hall=A')
    await first.page.getByRole('button', { name: 'Save' }).click()
    await first.page.getByRole('dialog').waitFor({ state: 'hidden' })
    assert.deepEqual((await service.call('GET', '/v1/devices/valve-1')).body.attributes, { hall: 'A' })
    await first.context.close()
  })

  it('refuses to overwrite what somebody else changed meanwhile', async () => {
    const { page } = view
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Attributes').fill('site=south')
    await service.call(
      'PATCH',
      '/v1/devices/pump-1',
      { attributes: { site: 'west' } },
      { headers: { 'if-match': '*' } },
    )
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('device_changed').waitFor()
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByText('west', { exact: true }).waitFor()
  })

  it('lets an operator in with a certificate, and out again once that is revoked', async () => {
    using files = temporaryDirectory()
    const [key, cert] = [join(files.path, 'alice.key'), join(files.path, 'alice.crt')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
    const usage = ['-addext', 'extendedKeyUsage=clientAuth', '-addext', 'basicConstraints=critical,CA:FALSE']
    const out = ['-keyout', key, '-out', cert, '-subj', '/CN=alice']
    execFileSync('openssl', ['req', '-x509', '-new', ...curve, ...usage, ...out], { stdio: 'ignore' })
    const certificate = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
    const operator = { name: 'alice', role: 'operator', certificate: certificate.cert }
    const { body } = await service.call('POST', '/v1/operators', operator)
    const alice = await openConsole(browser, service.url, { certificate })
    await alice.page.getByRole('button', { name: 'Use an operator certificate' }).click()
    await alice.page.getByText('alice', { exact: true }).waitFor()
    await alice.goTo('/devices/valve-1')
    await alice.page.getByRole('button', { name: 'Suspend…' }).waitFor()
    await service.call('POST', `/v1/operators/${body.fingerprint}/revoke`)
    await alice.page.getByText('Your session has ended.').waitFor()
    await alice.page.getByRole('button', { name: 'Use an operator certificate' }).click()
    await alice.page.getByRole('alert').getByText('operator_refused').waitFor()
    await alice.assertHarmless()
    await alice.context.close()
  })

  it('shows a viewer nothing to change with, and the service refuses a viewer’s change all the same', async () => {
    const token = await tokenOf('viewer')
    const viewer = await openConsole(browser, service.url)
    await viewer.signIn(token)
    const { page } = viewer
    const menu = page.getByRole('navigation', { name: 'Pages' })
    await menu.getByRole('link', { name: 'Audit' }).waitFor()
    assert.equal(await menu.getByRole('link', { name: 'Enroll' }).count(), 0)
    await viewer.goTo('/enroll')
    await page.getByText('Your role only looks').waitFor()
    await viewer.goTo('/devices')
    await page.getByRole('link', { name: 'valve-1' }).waitFor()
    assert.equal(await page.getByRole('checkbox').count(), 0)
    await viewer.goTo('/devices/valve-1?view=certificates')
    await page.getByText('never used yet').waitFor()
    assert.equal(await page.getByRole('button', { name: /Revoke|Suspend|Decommission|Enroll/ }).count(), 0)
    const status = await page.evaluate(`fetch('/v1/session')
      .then(answer => answer.json())
      .then(({ csrfToken }) => fetch('/v1/devices/valve-1/suspend', { method: 'POST', headers: { 'X-CSRF-Token': csrfToken } }))
      .then(answer => answer.status)`)
    assert.equal(status, 403)
    await viewer.assertHarmless()
    await viewer.context.close()
  })

  it('shows an operator bound to a group that group alone', async () => {
    await service.call('POST', '/v1/devices', { id: 'gauge-1', groups: ['gauges'] })
    const bound = await openConsole(browser, service.url)
    await bound.signIn(await tokenOf('operator', 'gauges'))
    const { page } = bound
    const menu = page.getByRole('navigation', { name: 'Pages' })
    assert.deepEqual(await menu.getByRole('link').allInnerTexts(), [
      'Overview',
      'Devices',
      'Sessions',
      'Retained',
      'Enroll',
      'Approvals',
      'Live feed',
    ])
    await bound.goTo('/devices')
    await page.getByRole('link', { name: 'gauge-1' }).waitFor()
    assert.equal(await page.getByRole('link', { name: 'pump-1' }).count(), 0)
    await bound.goTo('/devices/pump-1')
    await page.getByText('pump-1 is not on the roll').waitFor()
    await bound.assertHarmless()
    await bound.context.close()
  })

  it('says that the service does not answer, asks again by itself, and goes on where it was', async () => {
    const { page } = view
    await view.goTo('/devices/valve-1')
    await page.getByRole('heading', { name: 'valve-1', level: 1 }).waitFor()
    const { directory, url } = service
    await service.running.close()
    await page.getByRole('alert').getByText('The service does not answer.').first().waitFor()
    assert.equal(await page.getByRole('heading', { name: 'valve-1', level: 1 }).isVisible(), true)
    service = await startService({ data: directory, keep: true, apiPort: Number(new URL(url).port) })
    // Sessions end with the service that kept them.
    await page.getByText('Your session has ended.').waitFor()
    await view.signIn(service.token)
    await page.getByRole('heading', { name: 'valve-1', level: 1 }).waitFor()
    await page.getByText('The service does not answer.').first().waitFor({ state: 'hidden' })
    assert.equal(page.url(), `${url}/console/devices/valve-1`)
    await view.assertHarmless()
  })
})
