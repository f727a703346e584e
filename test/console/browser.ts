// A real browser on the console: Debian's chromium, watched for everything that a page must not do.
import assert from 'node:assert/strict'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

export type Watched = {
  page: Page
  context: BrowserContext
  /** Signs in and waits for the pages. */
  signIn(token: string): Promise<void>
  /** Follows an address of the console without loading it anew. */
  goTo(path: string): Promise<void>
  /** Breaches of the content policy, requests to elsewhere, errors that nobody caught, dialogs of hostile text. */
  assertHarmless(): Promise<void>
}

/** How long a page may take on a busy machine. */
const TIMEOUT_MS = 60_000

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'], timeout: 120_000 })
}

export async function openConsole(
  browser: Browser,
  api: string,
  options: { width?: number; dark?: boolean; certificate?: { cert: string; key: string } } = {},
): Promise<Watched> {
  const { width = 1280, dark = false, certificate } = options
  const context = await browser.newContext({
    // The CA of a test is in no browser.
    ignoreHTTPSErrors: true,
    viewport: { width, height: 900 },
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
    ...(certificate === undefined
      ? {}
      : {
          clientCertificates: [
            { origin: api, cert: Buffer.from(certificate.cert), key: Buffer.from(certificate.key) },
          ],
        }),
  })
  const faults: string[] = []
  const page = await context.newPage()
  page.setDefaultTimeout(TIMEOUT_MS)
  page.on('pageerror', error => faults.push(`error: ${error.message}`))
  page.on('dialog', dialog => {
    faults.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('console', message => {
    if (/Content Security Policy/i.test(message.text())) faults.push(message.text())
  })
  page.on('request', request => {
    const { origin, protocol } = new URL(request.url())
    if (origin !== api && protocol !== 'data:' && protocol !== 'blob:')
      faults.push(`request: ${request.url()}`)
  })
  // In words, not functions: what runs in the page knows things that a program does not.
  await page.addInitScript(`globalThis.breaches = []
    addEventListener('securitypolicyviolation', event => breaches.push(event.violatedDirective + ' ' + event.blockedURI))`)
  await page.goto(`${api}/`)

  return {
    page,
    context,
    async signIn(token) {
      await page.getByLabel('API token').fill(token)
      await page.getByRole('button', { name: 'Sign in', exact: true }).click()
      await page.getByRole('navigation', { name: 'Pages' }).waitFor()
    },
    async goTo(path) {
      const href = JSON.stringify(`/console${path}`)
      await page.evaluate(
        `history.pushState(null, '', ${href}); dispatchEvent(new PopStateEvent('popstate'))`,
      )
    },
    async assertHarmless() {
      const breaches = await page.evaluate<string[]>('breaches')
      assert.deepEqual([...faults, ...breaches], [])
      assert.deepEqual(
        await page.evaluate('[...Object.keys(localStorage), ...Object.keys(sessionStorage)]'),
        [],
      )
      assert.equal(await page.evaluate('document.cookie'), '')
    },
  }
}

function chromiumPath(): string {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map(folder => join(folder, 'chromium'))
    .find(file => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
  if (found === undefined) throw new Error('chromium is not installed')
  return found
}
