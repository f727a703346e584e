// What an operator changes besides one device: files of many, tokens, approvals, policies, a whole selection.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { closeRegistry } from '../../db/index.ts'
import { openForNotes } from '../../db/open.ts'
import { makeCsr } from '../provisioning/harness.ts'
import { signedIn } from './signed-in.ts'

describe('an operator that steers the fleet', () => {
  const admin = signedIn()

  it('imports a file: maps its columns, tries it, sees which line is refused, does it', async () => {
    const { page } = admin.view
    await admin.view.goTo('/enroll?view=import')
    const rows = [
      'Name,Site,Group',
      'gauge-1,north,gauges',
      'gauge-2,"south, hall ""B""",gauges',
      'no/name,x,gauges',
    ]
    await page
      .getByLabel('Drop a .csv')
      .setInputFiles({ name: 'fleet.csv', mimeType: 'text/csv', buffer: Buffer.from(`${rows.join('\n')}\n`) })
    assert.equal(await page.getByLabel('Column Name stands for').inputValue(), 'deviceId')
    assert.equal(await page.getByLabel('Column Site stands for').inputValue(), 'attr.Site')
    await page.getByRole('button', { name: 'Try it (dry run)' }).click()
    await page.getByText('2 would be registered').waitFor()
    await page.getByRole('row', { name: /^4 / }).waitFor()
    assert.equal((await admin.service.call('GET', '/v1/devices')).body.items.length, 0)
    await page.getByRole('button', { name: 'Import', exact: true }).click()
    await page.getByText('2 registered', { exact: true }).waitFor()
    const { body } = await admin.service.call('GET', '/v1/devices/gauge-2')
    assert.deepEqual([body.attributes, body.groups], [{ Site: 'south, hall "B"' }, ['gauges']])
  })

  it('makes a token with a QR code and commands, shows it once, and approves what enrolled with it', async () => {
    const { page } = admin.view
    await admin.view.goTo('/enroll?view=token')
    await page.getByLabel('Device ID').fill('meter-1')
    await page.getByLabel('Somebody has to approve').check()
    await page.getByRole('button', { name: 'Make the token' }).click()
    await page.getByRole('img', { name: /QR code/ }).waitFor()
    assert.match(
      await page.getByRole('region', { name: 'Commands' }).innerText(),
      /CN=meter-1[\s\S]*\/v1\/enroll'/,
    )
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.getByRole('button', { name: 'Copy the token' }).click()
    await page.getByText('Copied', { exact: true }).first().waitFor()
    const token = await page.evaluate<string>('navigator.clipboard.readText()')
    assert.equal((await page.content()).includes(token), false, 'it is in no text of the page')
    await page.getByRole('button', { name: 'I have it; hide the token' }).click()
    const enrolled = await admin.service.call('POST', '/v1/enroll', { csr: makeCsr('p256').csr }, { token })
    assert.equal(enrolled.status, 202, enrolled.text)

    await page.getByRole('link', { name: /Approvals/ }).click()
    await page.getByRole('button', { name: 'Approve…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('dialog').getByText('0 of 0 acknowledged').waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByText('No devices are waiting').waitFor()
    const { body } = await admin.service.call('GET', '/v1/certificates?deviceId=meter-1')
    assert.equal(body.items[0].status, 'active')
  })

  it('suspends all that match a filter, after a preview, and is told what became of each', async () => {
    const { page } = admin.view
    await admin.view.goTo('/devices?group=gauges')
    await page.getByLabel('Choose gauge-1').check()
    await page.getByRole('button', { name: 'All that match' }).click()
    await page.getByRole('button', { name: 'Suspend…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('gauge-2').waitFor()
    assert.equal(await dialog.getByRole('button', { name: /^Suspend/ }).isDisabled(), true)
    await dialog.getByLabel('Type suspend 2 to confirm').fill('suspend 2')
    await dialog.getByRole('button', { name: 'Suspend 2 devices' }).click()
    await dialog.getByText('2 of 2 done').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('row', { name: /gauge-1 suspended/ }).waitFor()
    const { body } = await admin.service.call('GET', '/v1/devices?state=suspended')
    assert.equal(body.items.length, 2)
  })

  it('shows in a receipt which broker is awaited, and goes on asking until it acted', async () => {
    await admin.service.call('POST', '/v1/devices', { id: 'slow-1' })
    const registry = openForNotes(join(admin.service.directory, 'registry.db'))
    const notes = createBrokerNotes(registry)
    const { page } = admin.view
    await admin.view.goTo('/devices/slow-1')
    for (const verb of ['Suspend', 'Activate']) {
      notes.enter('far', 0, Date.now())
      await page.getByRole('button', { name: `${verb}…` }).click()
      const dialog = page.getByRole('dialog')
      if (verb === 'Suspend') await dialog.getByLabel('Type slow-1 to confirm').fill('slow-1')
      await dialog.getByRole('button', { name: verb }).click()
      await dialog.getByText('some brokers are awaited').waitFor()
      await dialog.getByText('0 of 1 acknowledged').waitFor()
      const epoch = Number(await dialog.locator('dt:has-text("Epoch") + dd').innerText())
      notes.acknowledge('far', [{ epoch, sessionsCut: 3, at: Date.now() }])
      await dialog.getByText('every broker acted').waitFor()
      await dialog.getByText('3 sessions').waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
    }
    notes.leave('far')
    await closeRegistry(registry)
  })

  it('writes a policy: faults stand at their lines, the trial names lost rights, the receipt says it holds', async () => {
    const { page } = admin.view
    await admin.view.goTo('/policies/default')
    const editor = page.getByRole('textbox', { name: 'Policy document' })
    const stored = await editor.inputValue()
    await editor.fill('{\n  "name": "default",\n  "statements": [\n    { "effect": "permit" }\n  ]\n}')
    await page.getByRole('button', { name: 'line 4' }).first().waitFor()
    await page.getByText('statements[0].effect allow or deny').waitFor()
    await editor.fill('{\n  "name": "default"\n  "statements": []\n}')
    await page.getByText('a comma or } is expected here').waitFor()
    assert.equal(await page.getByRole('button', { name: 'Save…' }).isDisabled(), true)

    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: a variable of the policy
    const narrow = { effect: 'allow', actions: ['publish'], topics: ['devices/${device.id}/t'] }
    const limits = { qosMax: 1, sessionExpiryMaxSeconds: 60 }
    await editor.fill(JSON.stringify({ name: 'default', statements: [narrow], limits }, null, 2))
    await page.getByRole('link', { name: 'Changes' }).click()
    await page.getByText('"devices/${device.id}/t"').waitFor()
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: a variable of the policy
    await page.getByRole('link', { name: 'Simulate' }).click()
    await page.getByLabel('Device ID').fill('meter-1')
    await page.getByRole('button', { name: 'Simulate' }).click()
    await page.getByRole('row', { name: /subscribe devices\/meter-1\/commands\/\+ yes.* no/ }).waitFor()
    const compared = 'QoS up to 1, session expiry up to 60 s; today: QoS up to 2, session expiry unlimited.'
    await page.getByText(compared).waitFor()
    await page.getByRole('link', { name: 'Effect on the fleet' }).click()
    await page.getByRole('button', { name: 'Try the draft on the fleet' }).click()
    await page.getByText('would lose something').waitFor()
    await page
      .getByRole('row', { name: /meter-1/ })
      .getByText('subscribe')
      .first()
      .waitFor()
    await page
      .getByRole('row', { name: /meter-1/ })
      .getByText(compared)
      .waitFor()

    await page.getByRole('button', { name: 'Save…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Type default to confirm').fill('default')
    await dialog.getByRole('button', { name: 'Replace' }).click()
    await dialog.getByText('every broker acted').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    const { body } = await admin.service.call('GET', '/v1/policies/default')
    assert.deepEqual(body.document.statements, [narrow])
    assert.notEqual(stored, JSON.stringify(body.document))
  })

  it('creates a policy and attaches it to a group', async () => {
    const { page } = admin.view
    await admin.view.goTo('/policies')
    await page.getByRole('button', { name: 'New policy' }).click()
    await page.getByLabel('Name').fill('firmware')
    await page.getByRole('button', { name: 'Write it' }).click()
    await page.getByRole('button', { name: 'Save…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByRole('link', { name: 'Holds for' }).click()
    await page.getByLabel('Group').fill('gauges')
    await page.getByRole('button', { name: 'Attach…' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Attach' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click()
    await page.getByText('group gauges').waitFor()
    const { body } = await admin.service.call('GET', '/v1/policies/firmware')
    assert.deepEqual(body.attachments, [{ kind: 'group', target: 'gauges' }])
  })

  it('did all of it within the content policy, on one origin, and left nothing in the browser', () =>
    admin.view.assertHarmless())

  it('sorts the list by a heading, chooses its columns, says how many match, and moves by keys', async () => {
    for (const [at, id] of ['m-1', 'm-2', 'm-3'].entries()) {
      await admin.service.call('POST', '/v1/devices', {
        id,
        attributes: { site: at === 1 ? 'north' : 'south' },
      })
      await admin.service.call('POST', `/v1/devices/${id}/decommission`)
    }
    const { page } = admin.view
    await admin.view.goTo('/devices?search=m-')
    await page.getByText('1–3 of 3', { exact: true }).waitFor()
    const ids = () => page.locator('tbody th').allInnerTexts()
    await page.getByRole('button', { name: 'Device', exact: true }).click()
    await page.locator('th[aria-sort=descending]').waitFor()
    await page.locator('tbody tr:first-child[data-id=m-3]').waitFor()
    assert.deepEqual(await ids(), ['m-3', 'm-2', 'm-1'])
    await page.getByText('Columns', { exact: true }).click()
    await page.getByLabel('How it ended').check()
    await page.getByRole('columnheader', { name: 'How it ended' }).waitFor()
    await page.getByText('Columns', { exact: true }).click()
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.keyboard.press('x')
    await page.getByText('1 device chosen').waitFor()
    assert.equal(await page.getByLabel('Choose m-2').isChecked(), true)
    await page.keyboard.press('k')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'm-3' }).waitFor()
    await admin.view.goTo('/devices?search=m-%20site%3Asouth&seen=never&sort=-createdAt')
    await page.getByText('1–2 of 2', { exact: true }).waitFor()
    assert.deepEqual(await ids(), ['m-3', 'm-1'])
    await admin.view.goTo('/devices?seen=7')
    await page.getByText('0 devices', { exact: true }).waitFor()
  })

  it('saves a view by name, finds it in the palette, shows the keys, and forgets the view', async () => {
    const { page } = admin.view
    const { keyboard } = page
    await admin.view.goTo('/devices?group=gauges&sort=-id')
    await page.getByText('Saved views').click()
    await page.getByLabel('Save filters').fill('Gauges <b>first</b>')
    await page.getByRole('button', { name: 'Save', exact: true }).click()
    await page.getByRole('link', { name: 'Gauges <b>first</b>' }).waitFor()
    await admin.view.goTo('/policies')
    await keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Go to' }).fill('gauges <b>')
    await page.getByRole('option', { name: /^Gauges <b>first<\/b>/ }).waitFor()
    await keyboard.press('Enter')
    await page.getByRole('link', { name: 'gauge-1' }).waitFor()
    assert.match(page.url(), /\/devices\?group=gauges&sort=-id$/)
    await keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Go to' }).fill('gauge-2')
    await page.getByRole('option', { name: /^gauge-2/ }).waitFor()
    await keyboard.press('Enter')
    await page.getByRole('heading', { name: 'gauge-2', level: 1 }).waitFor()
    await keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).getByText('go down in a list').waitFor()
    await keyboard.press('Escape')
    await admin.view.goTo('/devices')
    await page.getByText('Saved views (1)').click()
    await page.getByRole('button', { name: 'Remove the view Gauges <b>first</b>' }).click()
    await page.getByRole('link', { name: 'Gauges' }).waitFor({ state: 'detached' })
    await admin.view.assertHarmless()
  })
})
