// Every page as axe-core sees it, light and dark, wide and on a phone; and the way from signing in to a revocation without
// a mouse.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { beginRetainedFile } from '../../db/retained/retained-file.ts'
import { makeForeignCa, type Service, startService } from '../provisioning/harness.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
type Violation = { id: string; nodes: { target: string[]; failureSummary: string }[] }

/** Addresses, and what is there once the page is. */
const pages: readonly [path: string, shown: string][] = [
  ['/', 'Connected now'],
  ['/?span=week', 'by hour'],
  ['/devices', 'pump-1'],
  ['/devices?search=zebra', 'No device matches'],
  ['/devices/pump-1', 'would be admitted'],
  ['/devices/pump-1?view=certificates', 'never used yet'],
  ['/devices/pump-1?view=policy', 'Statements that bind it'],
  ['/devices/pump-1?view=audit', 'certificate.issue'],
  ['/enroll', 'Issue the certificate'],
  ['/enroll?view=token', 'Make the token'],
  ['/enroll?view=claims', 'Make the claim'],
  ['/enroll?view=import', 'Nothing was imported yet'],
  ['/approvals', 'No devices are waiting'],
  ['/policies', 'everyone'],
  ['/policies/default', 'no fault'],
  ['/policies/default?view=diff', 'The draft is what is stored'],
  ['/policies/default?view=simulate', 'Try it on a device'],
  ['/policies/default?view=fleet', 'Nothing was tried yet'],
  ['/policies/default?view=attachments', 'Detach'],
  ['/issuers', 'Our own CA'],
  ['/live', 'newest first'],
  ['/audit', 'Verify now'],
  ['/sessions', 'There is no session'],
  ['/retained', 'devices/pump-1/state'],
  ['/retained?filter=a', 'Nothing matches'],
  ['/webhooks', 'Add the webhook'],
  ['/settings', 'ROLLCALL_DEVICE_DAYS'],
  ['/access', 'Make the token'],
  ['/access?view=certificates', 'Register the certificate'],
  ['/nothing', 'Nothing is at this address'],
]

describe('everybody can use the console', () => {
  let service: Service
  let browser: Browser
  let anchor: string
  before(async () => {
    await buildConsole()
    ;[service, browser] = await Promise.all([startService(), launchBrowser()])
    await service.enroll('pump-1')
    const retained = beginRetainedFile(join(service.directory, 'retained.db'))
    const facts = { deviceId: 'pump-1', qos: 1, bytes: 2_000, at: Date.now(), expiresAt: null } as const
    const topics = ['devices/pump-1/state', `devices/pump-1/${'deep/'.repeat(40)}`]
    retained.write(topics.map(topic => ({ topic, facts: { ...facts, topic } })))
    retained.finish()
    retained.close()
    const { certificate } = makeForeignCa('Maker CA')
    anchor = (await service.call('POST', '/v1/issuers', { certificate, name: 'maker' })).body.id
  })
  after(async () => {
    await browser?.close()
    await service?.[Symbol.asyncDispose]()
  })

  /** In the dark, where only colours differ, only colours are looked at. */
  async function assertClean(page: Page, what: string, rules = 'null'): Promise<void> {
    // Through the debugger, which the content policy of the page does not bind.
    if (!(await page.evaluate('"axe" in globalThis'))) await page.evaluate(axe)
    const { violations } = await page.evaluate<{ violations: Violation[] }>(
      `axe.run(document, ${rules} ?? {})`,
    )
    const found = violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${what}: ${id} ${target.join(' ')} ${failureSummary}`),
    )
    assert.deepEqual(found, [])
    const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
    assert.equal(await page.evaluate(overflow), 0, `${what}: nothing stands out of the page`)
  }

  it('reads the API document as a page, which shows its routes and no logo of another project', async () => {
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage()
    await page.goto(`${service.url}/docs/`)
    await page.getByText('/v1/devices', { exact: true }).first().waitFor()
    assert.equal(await page.title(), 'Rollcall API')
    assert.equal(await page.locator('.topbar').count(), 0)
    await page.context().close()
  })

  for (const { dark, width } of [
    { dark: false, width: 1280 },
    { dark: true, width: 1280 },
    { dark: false, width: 390 },
  ]) {
    const rules = dark ? "{ runOnly: ['color-contrast'] }" : 'null'
    const look = `${dark ? 'dark' : 'light'} at ${width} px`
    it(`finds nothing to mend on any page, ${look}`, async () => {
      const view = await openConsole(browser, service.url, { dark, width })
      await view.page.getByLabel('API token').waitFor()
      await assertClean(view.page, 'sign-in', rules)
      await view.page.getByLabel('API token').fill(service.token)
      await view.page.keyboard.press('Enter')
      await view.page.getByText('Connected now').waitFor()
      for (const [path, shown] of [...pages, [`/issuers/${anchor}`, 'Enrollment by TPM'] as const]) {
        await view.goTo(path)
        await view.page.getByRole('main').getByText(shown).first().waitFor()
        await assertClean(view.page, path, rules)
      }
      await view.goTo('/devices/pump-1?view=certificates')
      await view.page.getByRole('button', { name: 'Revoke…' }).click()
      await view.page.getByRole('dialog').getByLabel('Type pump-1').waitFor()
      await assertClean(view.page, 'a question', rules)
      await view.page.keyboard.press('Escape')
      for (const [keys, shown] of [
        ['?', 'show these keys'],
        ['Control+k', 'Devices silent for a week'],
      ] as const) {
        await view.page.keyboard.press(keys)
        await view.page.getByRole('dialog').getByText(shown).waitFor()
        await assertClean(view.page, keys, rules)
        await view.page.keyboard.press('Escape')
      }
      await view.assertHarmless()
      await view.context.close()
    })
  }

  it('leads from signing in to a revocation by the keyboard alone', async () => {
    const view = await openConsole(browser, service.url)
    const { page } = view
    const { keyboard } = page
    await page.getByLabel('API token').waitFor()
    await keyboard.type(service.token)
    await keyboard.press('Enter')
    await page.getByText('Connected now').waitFor()
    await keyboard.press('/')
    await keyboard.type('pump')
    await keyboard.press('Enter')
    await page.getByRole('link', { name: 'pump-1' }).waitFor()
    await tabTo(view, 'pump-1')
    await keyboard.press('Enter')
    await page.getByRole('heading', { name: 'pump-1', level: 1 }).waitFor()
    await tabTo(view, 'Certificates')
    await keyboard.press('Enter')
    await page.getByText('never used yet').waitFor()
    await tabTo(view, 'Revoke…')
    await keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await tabTo(view, 'Type pump-1 to confirm')
    await keyboard.type('pump-1')
    await keyboard.press('Enter')
    await page.getByText('every broker acted').waitFor()
    assert.equal(await focused(page), 'Close', 'the answer has the focus')
    await keyboard.press('Enter')
    await page.getByText('revoked, for good').waitFor()
    await view.context.close()
  })

  async function tabTo({ page }: Watched, name: string): Promise<void> {
    for (let at = 0; at < 60; at += 1) {
      await page.keyboard.press('Tab')
      if ((await focused(page)) === name) return
    }
    assert.fail(`the keyboard never gets to ${name}`)
  }

  /** What has the focus, as it is called. */
  function focused(page: Page): Promise<string> {
    return page.evaluate<string>(`(() => {
      const element = document.activeElement
      const label = element?.labels?.[0]?.textContent ?? element?.getAttribute('aria-label') ?? element?.textContent ?? ''
      return label.trim()
    })()`)
  }
})
