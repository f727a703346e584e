// Ways onto the roll other than a bare token, in a real browser: what stands for a token in CMP and ACME, and the TPM of a device.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { createSoftwareTpm } from '../../device-sim/enrollment/software-tpm.ts'
import { createAcmeClient } from '../provisioning/acme/acme-client.ts'
import { type Service, startService } from '../provisioning/harness.ts'
import { deviceOf, enroll, makerOf } from '../provisioning/tpm/tpm-devices.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

describe('ways onto the roll in the console', () => {
  let service: Service
  let browser: Browser
  let view: Watched
  before(async () => {
    await buildConsole()
    ;[service, browser] = await Promise.all([startService(), launchBrowser()])
    view = await openConsole(browser, service.url)
    await view.signIn(service.token)
    await view.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  })
  after(async () => {
    await browser?.close()
    await service?.[Symbol.asyncDispose]()
  })

  /** Makes a token for a device that speaks so; gives the secret, and the page's text beside it. */
  async function made(
    protocol: string,
    id: string,
  ): Promise<{ secret: string; name: string; commands: string }> {
    const { page } = view
    await view.goTo('/enroll?view=token')
    await page.getByLabel('Device ID').fill(id)
    await page.getByLabel('The device speaks').selectOption(protocol)
    await page.getByRole('button', { name: 'Make the token' }).click()
    const commands = await page.getByRole('region', { name: 'Commands' }).innerText()
    const name = await page.locator('dl.facts dd').first().innerText()
    await page.getByRole('button', { name: 'Copy the secret' }).click()
    await page.getByText('Copied', { exact: true }).first().waitFor()
    const secret = await page.evaluate<string>('navigator.clipboard.readText()')
    assert.equal((await page.content()).includes(secret), false, 'it is in no text of the page')
    assert.equal((await page.content()).includes('rce_'), false, 'nor is the token')
    await page.getByRole('button', { name: 'I have it; hide the secret' }).click()
    await page.getByRole('button', { name: 'Make the token' }).waitFor()
    return { secret, name, commands }
  }

  it('shows what binds an ACME account, once, and it does', async () => {
    const { secret, name, commands } = await made('acme', 'gateway-1')
    assert.match(commands, new RegExp(`certbot certonly .*/acme/directory --eab-kid ${name} .*-d gateway-1`))
    const client = await createAcmeClient(service)
    assert.equal((await client.register({ kid: name, hmacKey: secret })).status, 201)
    await client.certificate()
    const { body } = await service.call('GET', '/v1/certificates?deviceId=gateway-1')
    assert.equal(body.items[0].status, 'issued')
  })

  it('shows the reference and secret of a client of CMP', async () => {
    const { secret, name, commands } = await made('cmp', 'pump-1')
    assert.match(secret, /^rcs_[\w-]{43}$/)
    assert.match(commands, new RegExp(`openssl cmp .*-ref ${name} -secret file:secret .*-subject /CN=pump-1`))
    const { body } = await service.call('GET', `/v1/enrollment-tokens/${name}`)
    assert.deepEqual([body.deviceId, body.status], ['pump-1', 'open'])
  })

  it('shows the TPM of a device, what vouches for it, and which keys it proved; no card where there is none', async () => {
    const { page } = view
    const maker = await makerOf(service)
    const device = await deviceOf(maker.ca)
    const { body } = await enroll(service, device)
    await view.goTo(`/devices/${body.deviceId}`)
    const card = page.locator('section', { has: page.getByRole('heading', { name: 'TPM', exact: true }) })
    await card.getByText('its manufacturer').waitFor()
    const text = await card.innerText()
    assert.match(text, /attested/)
    assert.match(text, /fixedTPM fixedParent sensitiveDataOrigin/)
    assert.ok(text.includes(`${body.fingerprint.slice(0, 16)}…`), text)

    // A token says that the device was meant, and not that it has a TPM.
    await service.call('POST', '/v1/devices', { id: 'meter-1' })
    const token = (await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'meter-1' })).body.token
    const tpm = createSoftwareTpm()
    const headers = { authorization: `Bearer ${token}` }
    const second = await enroll(service, { tpm, key: tpm.createKey() }, { headers })
    assert.equal(second.status, 201, second.bytes.toString())
    await view.goTo('/devices/meter-1')
    await card.getByText('an enrollment token alone').waitFor()
    await card.getByText('not attested').waitFor()
    await service.enroll('plain-1')
    await view.goTo('/devices/plain-1')
    await page.getByRole('heading', { name: 'plain-1' }).waitFor()
    await page.getByText('Certificates').first().waitFor()
    assert.equal(await card.count(), 0)
  })
})
