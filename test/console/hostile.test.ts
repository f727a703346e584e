// Text that devices and strangers chose, as an operator's browser shows it: as text, whatever it tries to be.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Browser } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { assertProblem, type Service, startService, temporaryDirectory } from '../provisioning/harness.ts'
import { launchBrowser, openConsole, type Watched } from './browser.ts'

const image = '<img src=x onerror=alert(1)>'
const script = '"><script>alert(1)</script><a href="javascript:alert(1)">'

describe('hostile text in the console', () => {
  const files = temporaryDirectory()
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
    files[Symbol.dispose]()
  })

  /** Nothing of it became an element or ran. */
  async function assertText(): Promise<void> {
    assert.equal(
      await view.page.evaluate(
        'document.querySelectorAll("img[src=x], #page script, [href^=javascript]").length',
      ),
      0,
    )
    await view.assertHarmless()
  }

  it('cannot be a device ID, a group, or the name of an attribute', async () => {
    for (const bad of [image, script, 'a b', '../x', 'a/b', '__proto__']) {
      assertProblem(await service.call('POST', '/v1/devices', { id: bad }), 400, 'request_invalid')
      const named = { id: 'pump-1', attributes: { [bad]: 'x' } }
      assert.equal((await service.call('POST', '/v1/devices', named)).status, 400, bad)
      assertProblem(
        await service.call('POST', '/v1/devices', { id: 'pump-1', groups: [bad] }),
        400,
        'request_invalid',
      )
    }
    await view.goTo('/enroll')
    await view.page.getByLabel('Device ID').fill(image)
    await view.page.getByRole('textbox', { name: /Certificate request/ }).fill(script)
    await view.page.getByRole('button', { name: 'Issue the certificate' }).click()
    await view.page.getByRole('alert').waitFor()
    await assertText()
  })

  it('is text where it is the value of an attribute', async () => {
    await service.call('POST', '/v1/devices', { id: 'pump-1', attributes: { note: image, site: script } })
    await view.goTo('/devices')
    await view.page.getByText(`note:${image}`).waitFor()
    await view.goTo('/devices/pump-1')
    await view.page.getByText(image, { exact: true }).waitFor()
    await view.page.getByText(script, { exact: true }).waitFor()
    await view.goTo('/devices/pump-1?view=audit')
    await view.page.getByText(image).first().waitFor()
    await assertText()
  })

  it('turns the order of nothing: topics, values and rows of the audit log read as they are', async () => {
    const turning = 'a\u202egnp.exe\u2066b'
    await service.call('POST', '/v1/devices', { id: 'turned-1', attributes: { note: turning } })
    await service.call('PUT', '/v1/policies/turned', {
      name: 'turned',
      statements: [{ effect: 'allow', actions: ['publish'], topics: [turning] }],
    })
    for (const path of [
      '/devices',
      '/devices/turned-1',
      '/devices/turned-1?view=audit',
      '/policies/turned',
    ]) {
      await view.goTo(path)
      await view.page.getByText('a\ufffdgnp.exe\ufffdb').first().waitFor()
      const shown = await view.page.evaluate<boolean>(
        '/[\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent)',
      )
      assert.equal(shown, false, path)
    }
    await view.goTo('/devices/turned-1')
    await view.page.getByRole('button', { name: 'Edit' }).click()
    await view.page.getByRole('button', { name: 'Save' }).click()
    await view.page.getByText('characters that are not shown here').waitFor()
    const { attributes } = (await service.call('GET', '/v1/devices/turned-1')).body
    assert.deepEqual(attributes, { note: turning }, 'what was not shown is not replaced in the record')
    await view.page.getByRole('button', { name: 'Cancel' }).click()
    await assertText()
  })

  it('is text where it is the CN of a foreign certificate', async () => {
    const certificate = selfSigned(`/CN=${image}/O=${script.replaceAll('/', '\\/')}`)
    const registered = { certificate, trust: 'pinned' }
    const answer = await service.call('POST', '/v1/devices/pump-1/certificates', registered)
    assert.equal(answer.status, 201, answer.text)
    await view.goTo('/devices/pump-1?view=certificates')
    // With the escapes of a printed name before its angle brackets.
    await view.page.getByText('img src=x onerror=alert(1)').first().waitFor()
    await view.page.getByText('script\\>alert(1)').first().waitFor()
    await assertText()
  })

  it('is text where it is the name of a token, and so the actor of an audit row', async () => {
    const named = { name: image, role: 'operator' }
    const made = await service.call('POST', '/v1/api-tokens', named)
    if (made.status === 201)
      await service.call('POST', '/v1/devices', { id: 'pump-2' }, { token: made.body.token })
    await view.goTo(`/audit?actor=${encodeURIComponent(image)}`)
    await view.page.getByRole('heading', { name: 'Audit', level: 1 }).waitFor()
    await view.page
      .getByText(made.status === 201 ? 'pump-2' : 'No row matches')
      .first()
      .waitFor()
    await assertText()
  })

  it('is text where it stands in the address', async () => {
    for (const path of [
      image,
      `devices/${encodeURIComponent(image)}`,
      `policies/${encodeURIComponent(script)}`,
    ]) {
      await view.page.goto(`${service.url}/console/${path}`)
      await view.page.getByRole('heading', { level: 1 }).waitFor()
      await assertText()
    }
    await view.page.goto(`${service.url}/console/devices?search=${encodeURIComponent(image)}`)
    await view.page.getByText('No device matches').waitFor()
    assert.equal(
      await view.page
        .getByRole('textbox', { name: 'Search', exact: true })
        .or(view.page.getByLabel('Search', { exact: true }))
        .first()
        .inputValue(),
      image,
    )
    await assertText()
  })

  it('is text where it is in a file to import', async () => {
    await view.goTo('/enroll?view=import')
    const rows = `deviceId,${image.replaceAll(',', ' ')}\n${image},x\n`
    await view.page
      .getByLabel('Drop a .csv')
      .setInputFiles({ name: `${image}.csv`, mimeType: 'text/csv', buffer: Buffer.from(rows) })
    await view.page.getByRole('button', { name: 'Try it (dry run)' }).click()
    await view.page.getByText('1 refused').or(view.page.getByRole('alert')).first().waitFor()
    await assertText()
  })

  function selfSigned(subject: string): string {
    const [key, certificate] = [join(files.path, 'a.key'), join(files.path, 'a.crt')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
    execFileSync(
      'openssl',
      ['req', '-x509', '-new', ...curve, '-keyout', key, '-out', certificate, '-subj', subject],
      { stdio: 'ignore' },
    )
    return readFileSync(certificate, 'utf8')
  }
})
