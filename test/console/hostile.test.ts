// Text that devices and strangers chose, as an operator's browser shows it: as text, whatever it tries to be.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { assertProblem, temporaryDirectory } from '../provisioning/harness.ts'
import { signedIn } from './signed-in.ts'

const image = '<img src=x onerror=alert(1)>'
const script = '"><script>alert(1)</script><a href="javascript:alert(1)">'

describe('hostile text in the console', () => {
  const files = temporaryDirectory()
  const admin = signedIn()
  after(() => files[Symbol.dispose]())

  /** Nothing of it became an element or ran. */
  async function assertText(): Promise<void> {
    assert.equal(
      await admin.view.page.evaluate(
        'document.querySelectorAll("img[src=x], #page script, [href^=javascript]").length',
      ),
      0,
    )
    await admin.view.assertHarmless()
  }

  it('cannot be a device ID, a group, or the name of an attribute', async () => {
    for (const bad of [image, script, 'a b', '../x', 'a/b', '__proto__']) {
      assertProblem(await admin.service.call('POST', '/v1/devices', { id: bad }), 400, 'request_invalid')
      const named = { id: 'pump-1', attributes: { [bad]: 'x' } }
      assert.equal((await admin.service.call('POST', '/v1/devices', named)).status, 400, bad)
      assertProblem(
        await admin.service.call('POST', '/v1/devices', { id: 'pump-1', groups: [bad] }),
        400,
        'request_invalid',
      )
    }
    await admin.view.goTo('/enroll')
    await admin.view.page.getByLabel('Device ID').fill(image)
    await admin.view.page.getByRole('textbox', { name: /Certificate request/ }).fill(script)
    await admin.view.page.getByRole('button', { name: 'Issue the certificate' }).click()
    await admin.view.page.getByRole('alert').waitFor()
    await assertText()
  })

  it('is text where it is the value of an attribute', async () => {
    await admin.service.call('POST', '/v1/devices', {
      id: 'pump-1',
      attributes: { note: image, site: script },
    })
    await admin.view.goTo('/devices')
    await admin.view.page.getByText(`note:${image}`).waitFor()
    await admin.view.goTo('/devices/pump-1')
    await admin.view.page.getByText(image, { exact: true }).waitFor()
    await admin.view.page.getByText(script, { exact: true }).waitFor()
    await admin.view.goTo('/devices/pump-1?view=audit')
    await admin.view.page.getByText(image).first().waitFor()
    await assertText()
  })

  it('turns the order of nothing: topics, values and rows of the audit log read as they are', async () => {
    const turning = 'a\u202egnp.exe\u2066b'
    await admin.service.call('POST', '/v1/devices', { id: 'turned-1', attributes: { note: turning } })
    await admin.service.call('PUT', '/v1/policies/turned', {
      name: 'turned',
      statements: [{ effect: 'allow', actions: ['publish'], topics: [turning] }],
    })
    for (const path of [
      '/devices',
      '/devices/turned-1',
      '/devices/turned-1?view=audit',
      '/policies/turned',
    ]) {
      await admin.view.goTo(path)
      await admin.view.page.getByText('a\ufffdgnp.exe\ufffdb').first().waitFor()
      const shown = await admin.view.page.evaluate<boolean>(
        '/[\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent)',
      )
      assert.equal(shown, false, path)
    }
    await admin.view.goTo('/devices/turned-1')
    await admin.view.page.getByRole('button', { name: 'Edit' }).click()
    await admin.view.page.getByRole('button', { name: 'Save' }).click()
    await admin.view.page.getByText('characters that are not shown here').waitFor()
    const { attributes } = (await admin.service.call('GET', '/v1/devices/turned-1')).body
    assert.deepEqual(attributes, { note: turning }, 'what was not shown is not replaced in the record')
    await admin.view.page.getByRole('button', { name: 'Cancel' }).click()
    await assertText()
  })

  it('is text where it is the CN of a foreign certificate', async () => {
    const certificate = selfSigned(`/CN=${image}/O=${script.replaceAll('/', '\\/')}`)
    const registered = { certificate, trust: 'pinned' }
    const answer = await admin.service.call('POST', '/v1/devices/pump-1/certificates', registered)
    assert.equal(answer.status, 201, answer.text)
    await admin.view.goTo('/devices/pump-1?view=certificates')
    // With the escapes of a printed name before its angle brackets.
    await admin.view.page.getByText('img src=x onerror=alert(1)').first().waitFor()
    await admin.view.page.getByText('script\\>alert(1)').first().waitFor()
    await assertText()
  })

  it('is text where it is the name of a token, and so the actor of an audit row', async () => {
    const named = { name: image, role: 'operator' }
    const made = await admin.service.call('POST', '/v1/api-tokens', named)
    if (made.status === 201)
      await admin.service.call('POST', '/v1/devices', { id: 'pump-2' }, { token: made.body.token })
    await admin.view.goTo(`/audit?actor=${encodeURIComponent(image)}`)
    await admin.view.page.getByRole('heading', { name: 'Audit', level: 1 }).waitFor()
    await admin.view.page
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
      await admin.view.page.goto(`${admin.service.url}/console/${path}`)
      await admin.view.page.getByRole('heading', { level: 1 }).waitFor()
      await assertText()
    }
    await admin.view.page.goto(`${admin.service.url}/console/devices?search=${encodeURIComponent(image)}`)
    await admin.view.page.getByText('No device matches').waitFor()
    assert.equal(
      await admin.view.page
        .getByRole('textbox', { name: 'Search', exact: true })
        .or(admin.view.page.getByLabel('Search', { exact: true }))
        .first()
        .inputValue(),
      image,
    )
    await assertText()
  })

  it('is text where it is in a file to import', async () => {
    await admin.view.goTo('/enroll?view=import')
    const rows = `deviceId,${image.replaceAll(',', ' ')}\n${image},x\n`
    await admin.view.page
      .getByLabel('Drop a .csv')
      .setInputFiles({ name: `${image}.csv`, mimeType: 'text/csv', buffer: Buffer.from(rows) })
    await admin.view.page.getByRole('button', { name: 'Try it (dry run)' }).click()
    await admin.view.page.getByText('1 refused').or(admin.view.page.getByRole('alert')).first().waitFor()
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
