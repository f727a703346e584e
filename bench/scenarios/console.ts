// How long an operator waits for a page of the console, in a browser, with a large roll behind it.
// Run by hand: node bench/scenarios/console.ts [devices]
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { buildConsole } from '../../console/build.ts'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { launchBrowser, openConsole } from '../../test/console/browser.ts'
import { startSystem } from '../../test/e2e/system.ts'
import { fillHistory } from '../full-history.ts'
import { fillRoll } from '../large-roll.ts'

const count = Number(process.argv[2] ?? 100_000)
const ROUNDS = 15
const rows: { page: string; 'ms p50 / max': string; target: string }[] = []

await buildConsole()
const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
const data = join(scratch, 'data')
try {
  await (await startSystem(data)).end()
  await fill()
  await using system = await startSystem(data)
  const browser = await launchBrowser()
  try {
    const view = await openConsole(browser, system.ready.api)
    await view.signIn(readFileSync(join(data, 'admin.token'), 'utf8').trim())
    const middle = `fleet-${String(count / 2).padStart(7, '0')}`
    // The last chart of the page: all of them are drawn together.
    const charts = '.chart'
    await measure(view.page, 'overview, the last hour', '/', charts, '≤ 500')
    await measure(view.page, 'overview, a week', '/?span=week', charts, '≤ 500')
    await measure(view.page, 'overview, a year', '/?span=year', charts, '≤ 500')
    await measure(view.page, 'devices, the first 100', '/devices', 'tbody tr:nth-child(100)', '≤ 1000')
    await measure(view.page, 'devices found by ID', `/devices?search=${middle}`, 'tbody tr', '≤ 1000')
    await measure(
      view.page,
      'devices found by attribute',
      '/devices?search=serial:sn-77',
      'tbody tr',
      '≤ 1000',
    )
    await measure(view.page, 'devices that are connected', '/devices?connected=true', 'tbody tr', '≤ 1000')
    await measure(view.page, 'one device', `/devices/${middle}`, '.verdict', '≤ 1000')
  } finally {
    await browser.close()
  }
  console.table(rows)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

async function fill(): Promise<void> {
  const registry = openForWriting(join(data, 'registry.db'))
  const issuer = registry.sqlite.prepare("SELECT id FROM issuers WHERE kind = 'issuing'").pluck().get()
  await fillRoll(registry, issuer as string, count)
  await closeRegistry(registry)
  const rows = fillHistory(join(data, 'history.db'), Date.now())
  console.log(
    `history: ${rows} rows, ${(statSync(join(data, 'history.db')).size / 1024 ** 2).toFixed(1)} MiB`,
  )
}

/** From following an address to the moment that what it is about is there, as the page's own clock says. */
async function measure(page: Page, name: string, path: string, shown: string, target: string): Promise<void> {
  const took: number[] = []
  const url = new URL(page.url()).origin
  for (let round = 0; round <= ROUNDS; round += 1) {
    await page.goto(`${url}/console${path}`, { waitUntil: 'commit' })
    await page.waitForSelector(shown)
    // Looked at in the next frame at the earliest: what is measured is never less than what was waited.
    if (round > 0) took.push(await page.evaluate<number>('performance.now()'))
  }
  took.sort((one, other) => one - other)
  const median = took[Math.floor(took.length / 2)]!
  rows.push({ page: name, 'ms p50 / max': `${median.toFixed(0)} / ${took.at(-1)!.toFixed(0)}`, target })
}
