// What an admin does beside the fleet, in a real browser: callers, issuers, claims, webhooks. Each step is judged by the API.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { type Service, selfSigned, startService } from '../provisioning/harness.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

describe('an admin in the console', () => {
  let service: Service
  let browser: Browser
  let view: Watched
  before(async () => {
    await buildConsole()
    ;[service, browser] = await Promise.all([startService(), launchBrowser()])
    view = await openConsole(browser, service.url)
    await view.signIn(service.token)
  })
  after(async () => {
    await browser?.close()
    await service?.[Symbol.asyncDispose]()
  })

  it('makes an API token for a group, sees it once, and revokes it', async () => {
    const { page } = view
    await view.goTo('/access')
    await page.getByLabel('Name').fill('line-3')
    await page.getByLabel('Role').selectOption('enroller')
    await page.getByLabel('Group').fill('pumps')
    await page.getByRole('button', { name: 'Make the token' }).click()
    const saved = page.waitForEvent('download')
    await page.getByRole('button', { name: 'line-3.token' }).click()
    const chunks = await (await (await saved).createReadStream()).toArray()
    const token = Buffer.concat(chunks).toString().trim()
    const whoami = () => service.call('GET', '/v1/whoami', undefined, { token })
    const { name, role, group } = (await whoami()).body
    assert.deepEqual({ name, role, group }, { name: 'line-3', role: 'enroller', group: 'pumps' })
    await page.getByRole('button', { name: 'I have it' }).click()
    assert.equal((await page.content()).includes(token), false)

    await page
      .getByRole('row', { name: /line-3.*of the group pumps/ })
      .getByRole('button')
      .click()
    await page.getByLabel('Type line-3 to confirm').fill('line-3')
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await page.getByRole('row', { name: /line-3.*revoked/ }).waitFor()
    assert.equal((await whoami()).status, 401)
  })

  it("registers an operator's certificate, and shows what is wrong with one", async () => {
    const { page } = view
    await view.goTo('/access?view=certificates')
    await page.getByLabel('Name').fill('alice')
    await page.getByLabel('Certificate (PEM)').fill('-----BEGIN CERTIFICATE-----')
    await page.getByRole('button', { name: 'Register the certificate' }).click()
    await page.getByRole('alert').getByText('certificate_invalid').waitFor()
    await page.getByLabel('Certificate (PEM)').fill(selfSigned('alice').certificate)
    await page.getByRole('button', { name: 'Register the certificate' }).click()
    await page.getByRole('row', { name: /alice.*viewer.*accepted/ }).waitFor()
    const { items } = (await service.call('GET', '/v1/operators')).body
    assert.deepEqual(
      items.map(({ name, role }: { name: string; role: string }) => [name, role]),
      [['alice', 'viewer']],
    )
  })

  it('did all of it within the content policy and left nothing in the browser', () => view.assertHarmless())
})
