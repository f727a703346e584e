// What an admin does in a real browser: callers, issuers, claims, webhooks, many devices at once. Each step is judged by the API.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeCrlAuthority } from '../provisioning/anchors/crl-authority.ts'
import { makeCsr, selfSigned, signedBy } from '../provisioning/harness.ts'
import { signedIn } from './signed-in.ts'

// biome-ignore lint/suspicious/noTemplateCurlyInString: a template of the service
const TEMPLATE = 'maker-${cn}'

describe('an admin in the console', () => {
  const admin = signedIn()

  it('makes an API token for a group, sees it once, and revokes it', async () => {
    const { page } = admin.view
    await admin.view.goTo('/access')
    await page.getByLabel('Name').fill('line-3')
    await page.getByLabel('Role').selectOption('enroller')
    await page.getByLabel('Group').fill('pumps')
    await page.getByRole('button', { name: 'Make the token' }).click()
    const saved = page.waitForEvent('download')
    await page.getByRole('button', { name: 'line-3.token' }).click()
    const chunks = await (await (await saved).createReadStream()).toArray()
    const token = Buffer.concat(chunks).toString().trim()
    const whoami = () => admin.service.call('GET', '/v1/whoami', undefined, { token })
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
    const { page } = admin.view
    await admin.view.goTo('/access?view=certificates')
    await page.getByLabel('Name').fill('alice')
    await page.getByLabel('Certificate (PEM)').fill('-----BEGIN CERTIFICATE-----')
    await page.getByRole('button', { name: 'Register the certificate' }).click()
    await page.getByRole('alert').getByText('certificate_invalid').waitFor()
    await page.getByLabel('Certificate (PEM)').fill(selfSigned('alice').certificate)
    await page.getByRole('button', { name: 'Register the certificate' }).click()
    await page.getByRole('row', { name: /alice.*viewer.*accepted/ }).waitFor()
    const { items } = (await admin.service.call('GET', '/v1/operators')).body
    assert.deepEqual(
      items.map(({ name, role }: { name: string; role: string }) => [name, role]),
      [['alice', 'viewer']],
    )
  })

  it("proves a trust anchor's key, opens it, puts its CRL in force, and disables it", async () => {
    const { page } = admin.view
    using pki = makeCrlAuthority('Maker CA')
    const { body } = await admin.service.call('POST', '/v1/issuers', {
      certificate: pki.ca.certificate,
      name: 'maker',
    })
    const issuer = async () => (await admin.service.call('GET', `/v1/issuers/${body.id}`)).body
    await admin.view.goTo('/issuers')
    await page.getByRole('link', { name: 'maker' }).click()
    await page.getByRole('button', { name: 'Get a number to sign' }).click()
    const commands = await page.getByRole('region', { name: 'Commands' }).innerText()
    const [, nonce] = /CN=(\S+)/.exec(commands) ?? []
    await page.getByLabel('What it signed').fill(signedBy(pki.ca, `/CN=${nonce}`))
    await page.getByRole('button', { name: 'Prove' }).click()
    await page.getByText('proven', { exact: true }).waitFor()

    const registration = page.getByRole('region', { name: 'Registration at the first connection' })
    await registration.getByLabel('It is').selectOption('pending')
    await registration.getByLabel('Names of devices').fill('no template ${')
    await registration.getByRole('button', { name: 'Save' }).click()
    await registration.getByText('name_template_invalid').waitFor()
    await registration.getByLabel('Names of devices').fill(TEMPLATE)
    await registration.getByRole('button', { name: 'Save' }).click()
    await registration.getByText('Saved.').waitFor()
    const idevid = page.getByRole('region', { name: /IDevID/ })
    await idevid.getByLabel('It is').selectOption('active')
    await idevid.getByLabel('Group').fill('makers')
    await idevid.getByRole('button', { name: 'Save' }).click()
    await idevid.getByText('Saved.').waitFor()
    const { anchor } = await issuer()
    assert.deepEqual(
      [anchor.autoRegistration.mode, anchor.autoRegistration.nameTemplate],
      ['pending', TEMPLATE],
    )
    const { mode, group } = (await admin.service.call('GET', `/v1/issuers/${body.id}/enrollment`)).body
    assert.deepEqual({ mode, group }, { mode: 'active', group: 'makers' })

    const file = {
      name: 'maker.crl',
      mimeType: 'application/pkix-crl',
      buffer: pki.crl({ '0a': 'keyCompromise' }),
    }
    await page.getByLabel('Import a CRL').setInputFiles(file)
    await page.getByText('1 certificate', { exact: true }).waitFor()

    await page.getByRole('button', { name: 'Disable…' }).click()
    await page.getByLabel('Type maker to confirm').fill('maker')
    await page.getByRole('button', { name: 'Disable', exact: true }).click()
    await page.getByText('every broker acted').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    assert.equal((await issuer()).enabled, false)
  })

  it('hands over to a new issuing CA', async () => {
    const { page } = admin.view
    await admin.view.goTo('/issuers')
    await page.getByRole('button', { name: 'Hand over to a new issuing CA…' }).click()
    await page.getByLabel('Type rotate to confirm').fill('rotate')
    await page.getByRole('button', { name: 'Hand over', exact: true }).click()
    await page.getByRole('row', { name: /handed over/ }).waitFor()
    const { issuing } = (await admin.service.call('GET', '/v1/ca')).body
    assert.equal(issuing.length, 2)
  })

  it('makes a claim for a batch, hands out its certificate, and revokes it', async () => {
    const { page } = admin.view
    await admin.view.goTo('/enroll?view=claims')
    await page.getByLabel('Name').fill('batch-7')
    await page.getByLabel('Devices at most').fill('2')
    await page.getByLabel('Only these devices').fill('lamp-1, lamp-2')
    await page.getByLabel('Certificate request (PEM)').fill(makeCsr('p256').csr)
    await page.getByRole('button', { name: 'Make the claim' }).click()
    await page.getByRole('region', { name: 'Certificate and chain' }).getByText('BEGIN CERTIFICATE').waitFor()
    const row = page.getByRole('row', { name: /batch-7.*for listed devices alone.*0 of 2/ })
    await row.getByRole('button', { name: 'Revoke…' }).click()
    await page.getByLabel('Type batch-7 to confirm').fill('batch-7')
    await page.getByRole('button', { name: 'Revoke', exact: true }).click()
    await row.getByText('revoked').waitFor()
    const { items } = (await admin.service.call('GET', '/v1/claims')).body
    assert.deepEqual([items[0].status, items[0].quota, items[0].allowlisted], ['revoked', 2, true])
  })

  it('adds a webhook, sees its secret once, disables and removes it', async () => {
    const { page } = admin.view
    await admin.view.goTo('/webhooks')
    await page.getByLabel('URL').fill('https://127.0.0.1/hook')
    await page.getByRole('button', { name: 'Add the webhook' }).click()
    await page.getByRole('alert').getByText('webhook_url_refused').waitFor()
    await page.getByLabel('URL').fill('https://hooks.invalid/in')
    await page.getByText('All kinds of events').click()
    await page.getByLabel('Revoked').check()
    await page.getByRole('button', { name: 'Add the webhook' }).click()
    await page.getByText('This is the only time that the secret is shown.').waitFor()
    await page.getByRole('button', { name: 'I have it' }).click()
    const card = page.getByRole('region', { name: 'hooks.invalid' })
    await card.getByRole('button', { name: 'Send a test' }).click()
    await card.getByText('not taken').waitFor()
    await card.getByText('Deliveries').click()
    await card.getByText('Nothing was sent since the service started.').waitFor()
    const { fingerprint } = await admin.service.enroll('hooked-1')
    await admin.service.call('POST', `/v1/certificates/${fingerprint}/revoke`)
    const sent = card.getByRole('row', { name: /Revoked hooked-1 not taken/ })
    await sent.getByRole('button', { name: 'Send again' }).click()
    await card.getByRole('button', { name: 'Replay…' }).click()
    await page.getByLabel('Events of').selectOption('the last day')
    await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click()
    await card.getByRole('button', { name: 'Disable' }).click()
    await card.getByText('disabled', { exact: true }).waitFor()
    const [webhook] = (await admin.service.call('GET', '/v1/webhooks')).body.items
    assert.deepEqual([webhook.state, webhook.kinds], ['disabled', ['revoked']])
    await card.getByRole('button', { name: 'Remove…' }).click()
    await page.getByLabel('Type remove to confirm').fill('remove')
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    await card.waitFor({ state: 'detached' })
  })

  it('adds many to a group and sets an attribute, counting those alone that change', async () => {
    const { page } = admin.view
    for (const id of ['valve-1', 'valve-2', 'valve-3'])
      await admin.service.call('POST', '/v1/devices', { id, groups: id === 'valve-1' ? ['water'] : [] })
    await admin.view.goTo('/devices?search=valve')
    const all = async (change: string) => {
      await page.getByLabel('Choose valve-2').check()
      await page.getByRole('button', { name: 'All that match' }).click()
      await page.getByLabel('Further changes').selectOption(change)
    }
    const dialog = page.getByRole('dialog')
    const finish = async (button: string) => {
      await dialog.getByRole('button', { name: button }).click()
      await dialog.getByText(/^(\d+) of \1 done, 0 sessions cut$/).waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
    }
    await all('Add to a group…')
    await dialog.getByLabel('Group').fill('water')
    await dialog.getByText('Of 3 devices, 1 stay as they are').waitFor()
    await finish('Add 2 devices')
    await all('Set an attribute…')
    await dialog.getByLabel('Attribute').fill('site')
    await dialog.getByLabel('Value').fill('north')
    await finish('Set 3 devices')
    const { items } = (await admin.service.call('GET', '/v1/devices?group=water&attribute=site:north')).body
    assert.equal(items.length, 3)
    await all('Add to a group…')
    await dialog.getByLabel('Group').fill('water')
    await dialog.getByText('Nothing would change.').waitFor()
    await page.keyboard.press('Escape')
  })

  it('revokes what older certificates of devices may still do, and leaves devices without any', async () => {
    const { page } = admin.view
    const older = await admin.service.enroll('tank-1')
    await admin.service.call('POST', `/v1/certificates/${older.fingerprint}/suspend`)
    for (const id of ['tank-1', 'tank-2']) {
      const newer = await admin.service.enroll(id)
      await admin.service.call('POST', `/v1/certificates/${newer.fingerprint}/revoke`)
    }
    await admin.view.goTo('/devices?search=tank')
    await page.getByLabel('Choose tank-1').check()
    await page.getByRole('button', { name: 'All that match' }).click()
    await page.getByLabel('Further changes').selectOption('Revoke certificates…')
    const dialog = page.getByRole('dialog')
    await dialog.getByText('Of 2 devices, 1 stay as they are').waitFor()
    await dialog.getByLabel('Type revoke 1 to confirm').fill('revoke 1')
    await dialog.getByRole('button', { name: 'Revoke 1 device' }).click()
    await dialog.getByText('1 of 1 done').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    const { body } = await admin.service.call('GET', `/v1/certificates/${older.fingerprint}`)
    assert.equal(body.status, 'revoked')
  })

  it('approves many at once', async () => {
    const { page } = admin.view
    for (const id of ['lamp-1', 'lamp-2']) {
      await admin.service.call('POST', '/v1/devices', { id })
      const { token } = (
        await admin.service.call('POST', '/v1/enrollment-tokens', { deviceId: id, approval: true })
      ).body
      await admin.service.call('POST', '/v1/enroll', { csr: makeCsr('p256').csr }, { token })
    }
    await page.setViewportSize({ width: 390, height: 800 })
    await admin.view.goTo('/approvals')
    await page.getByRole('button', { name: 'Choose all shown' }).click()
    await page.getByText('2 certificates chosen').waitFor()
    await page.getByRole('button', { name: 'Approve all…' }).click()
    await page.getByRole('button', { name: 'Approve 2 certificates' }).click()
    await page.getByText('2 of 2 done').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByText('No devices are waiting').waitFor()
    await page.setViewportSize({ width: 1280, height: 900 })
    const { items } = (await admin.service.call('GET', '/v1/certificates?status=pending')).body
    assert.deepEqual(items, [])
  })

  it('deletes a decommissioned device', async () => {
    const { page } = admin.view
    await admin.service.call('POST', '/v1/devices', { id: 'old-1' })
    await admin.service.call('POST', '/v1/devices/old-1/decommission')
    await admin.view.goTo('/devices/old-1')
    await page.getByRole('button', { name: 'Delete…' }).click()
    await page.getByLabel('Type old-1 to confirm').fill('old-1')
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await page.getByRole('heading', { name: 'Devices', level: 1 }).waitFor()
    assert.equal((await admin.service.call('GET', '/v1/devices/old-1')).status, 404)
  })

  it('did all of it within the content policy and left nothing in the browser', () =>
    admin.view.assertHarmless())
})
