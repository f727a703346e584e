// A console that the first admin has signed in to, in a real browser on a service of its own: for the tests of one `describe`.
import { after, before } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { type Service, startService } from '../provisioning/harness.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

/** What a test reads while it runs; not there before. */
export type SignedIn = { readonly service: Service; readonly browser: Browser; readonly view: Watched }

/** Registers the hooks of the enclosing `describe` that start and end it. */
export function signedIn(): SignedIn {
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
  return {
    get service() {
      return service
    },
    get browser() {
      return browser
    },
    get view() {
      return view
    },
  }
}
