// A trust anchor over its renewal in the console: added, renewed, its former certificate retired, and removed.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { after, before, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'
import { createAuthority } from '../harness/authority.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

const world = scratch()
let system: System
let browser: Browser
let view: Watched
before(async () => {
  await buildConsole()
  ;[system, browser] = await Promise.all([startSystem(world.at('data')), launchBrowser()])
  view = await openConsole(browser, system.ready.api)
  await view.signIn(readFileSync(world.at('data', 'admin.token'), 'utf8').trim())
})
after(async () => {
  await browser?.close()
  await system?.[Symbol.asyncDispose]()
  world[Symbol.dispose]()
})

it('adds a CA, renews it, shows both validities, retires the former one and removes the anchor', async () => {
  const maker = await createAuthority('Maker CA', { notAfter: new Date(Date.now() + 10 * 86_400_000) })
  const longer = await createAuthority('Maker CA', { keyPair: maker.keyPair })
  const { page } = view
  await view.goTo('/issuers')
  const add = async (name: string, certificate: string) => {
    writeFileSync(world.at(name), certificate)
    await page.getByLabel('Add a CA, or renew one').setInputFiles(world.at(name))
    await page.getByRole('button', { name: 'Trust', exact: true }).click()
  }
  const anchor = page.getByRole('listitem').filter({ hasText: 'CN=Maker CA' })
  await add('maker.pem', maker.certificate)
  await anchor.getByText('in force').waitFor()
  assert.equal(await anchor.getByText('replaced').count(), 0)
  await add('longer.pem', longer.certificate)
  await anchor.getByText('replaced').waitFor()
  assert.equal(await anchor.getByText(/^ends /).count(), 2)

  await anchor.getByRole('button', { name: 'Retire…' }).click()
  await page.getByRole('button', { name: 'Retire', exact: true }).click()
  await anchor.getByText('replaced').waitFor({ state: 'detached' })
  await anchor.getByRole('button', { name: 'Remove…' }).click()
  await page.getByRole('dialog').getByRole('textbox').fill('CN=Maker CA')
  await page.getByRole('button', { name: 'Remove', exact: true }).click()
  await anchor.waitFor({ state: 'detached' })
  const { stdout } = await system.run('issuer', 'list', '-o', 'jsonl')
  assert.doesNotMatch(stdout, /Maker/)
})
