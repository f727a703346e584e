// Draining a broker from the overview, and having it take sessions again.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { closeRegistry } from '../../db/index.ts'
import { openForNotes } from '../../db/open.ts'
import { signedIn } from './signed-in.ts'

describe('an operator that drains a broker', () => {
  const admin = signedIn()

  it('types its name, sees how many sessions are left, and resumes it', async () => {
    const registry = openForNotes(join(admin.service.directory, 'registry.db'))
    const notes = createBrokerNotes(registry, '1.0.0')
    try {
      notes.enter('berlin-1', 0, Date.now())
      const replica = { sequence: 5, ageMs: 300 }
      notes.seen('berlin-1', Date.now(), 12, { replica, busConnected: true, drainAt: null })
      const { page } = admin.view
      await admin.view.goTo('/')
      await page.getByText('bus connected').waitFor()
      const table = "document.querySelector('[aria-label=Brokers]')"
      assert.equal(
        await page.evaluate(`${table}.scrollWidth <= ${table}.clientWidth`),
        true,
        'no button is hidden',
      )
      await page.getByRole('button', { name: 'Drain…' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByText('12 sessions will end').waitFor()
      await dialog.getByLabel('Over how many minutes').fill('10')
      await dialog.getByLabel('Server reference').fill('mqtt-2.example:8883')
      await dialog.getByLabel('Type berlin-1 to confirm').fill('berlin-1')
      await dialog.getByRole('button', { name: 'Drain' }).click()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await page.getByRole('row', { name: /berlin-1.*draining.*to mqtt-2\.example:8883/ }).waitFor()
      const [node] = (await admin.service.call('GET', '/v1/nodes')).body.items
      assert.deepEqual([node.drain.overSeconds, node.drain.state], [600, 'draining'])
      const drainAt = Date.parse(node.drain.since)
      notes.seen('berlin-1', Date.now(), 0, { replica: null, busConnected: null, drainAt })
      await page.getByRole('row', { name: /berlin-1.*drained/ }).waitFor()
      await page.getByRole('button', { name: 'Resume…' }).click()
      await dialog.getByRole('button', { name: 'Resume' }).click()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await page.getByRole('button', { name: 'Drain…' }).waitFor()
    } finally {
      await closeRegistry(registry)
    }
  })
})
