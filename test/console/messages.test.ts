// What the console does through a broker: retained messages found and cleared, and what a device may tried out.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Broker } from '../../broker/index.ts'
import { until } from '../harness/until.ts'
import { beside, connect } from '../provisioning/broker-beside.ts'
import { signedIn } from './signed-in.ts'

describe('an operator that looks for retained messages', () => {
  const admin = signedIn()
  let broker: Broker
  const retained = async () => (await admin.service.call('GET', '/v1/retained')).body.items
  before(async () => {
    broker = await beside(admin.service)
    const { client } = await connect(admin.service, broker.port, 'pump-1')
    for (const part of ['state', 'version', 'old/1', 'old/2'])
      await client.publishAsync(`devices/pump-1/${part}`, 'kept', { qos: 1, retain: true })
    await until(async () => (await retained()).length === 4)
  })
  after(() => broker?.close())

  it('finds them by topic filter and from the page of the device', async () => {
    const { page } = admin.view
    await admin.view.goTo('/devices/pump-1')
    await page.getByRole('link', { name: 'What it has retained' }).click()
    await page.getByText('4 messages', { exact: true }).waitFor()
    await page.getByLabel('Topic filter').fill('devices/+/state')
    await page.getByRole('button', { name: 'Find' }).click()
    await page.getByText('1 message', { exact: true }).waitFor()
    await page.getByLabel('Topic filter').fill('devices#')
    await page.getByRole('button', { name: 'Find' }).click()
    await page.getByText('devices# is no topic filter').waitFor()
  })

  it('clears one, and those that are chosen', async () => {
    const { page } = admin.view
    await admin.view.goTo('/retained')
    const dialog = page.getByRole('dialog')
    await page
      .getByRole('row', { name: /devices\/pump-1\/state/ })
      .getByRole('button', { name: 'Clear…' })
      .click()
    await dialog.getByRole('button', { name: 'Clear' }).click()
    await dialog.getByText('1 of 1 broker acknowledged').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).click()
    await until(async () => (await retained()).length === 3)
    for (const part of ['old/1', 'old/2']) await page.getByLabel(`Choose devices/pump-1/${part}`).check()
    await page.getByRole('button', { name: 'Clear 2 chosen messages…' }).click()
    await dialog.getByLabel('Type clear 2 to confirm').fill('clear 2')
    await dialog.getByRole('button', { name: 'Clear' }).click()
    await dialog.getByText('2 retained messages cleared').waitFor()
    await until(async () => (await retained()).length === 1)
    assert.equal((await retained())[0].topic, 'devices/pump-1/version')
  })

  it('publishes and listens by the rights of a device, on its page', async () => {
    const { page } = admin.view
    await admin.view.goTo('/devices/pump-1?view=policy')
    await page.getByLabel('Payload').fill('tried')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByText('0 sessions took it').waitFor()
    await page.getByLabel('Publish to').fill('devices/other/telemetry')
    await page.getByRole('button', { name: 'Publish' }).click()
    await page.getByText(/^pump-1 may not publish to devices\/other\/telemetry\.$/).waitFor()
    await page.getByRole('button', { name: 'Listen' }).click()
    await page.getByText('1 message: the time is over').waitFor()
    await page.getByRole('rowheader', { name: 'devices/pump-1/version' }).waitFor()
  })
})
