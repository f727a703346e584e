// `rollcall device renew`: on the device itself, once or for as long as it runs. Needs no token: the certificate is enough.

import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Command } from 'commander'
import { parseInstant } from '../../pki/instant.ts'
import { type RenewalFiles, renewOnce } from '../enrollment/renewal.ts'
import { UsageError } from '../errors.ts'
import { type Format, outputOption, printDocument } from '../output/format.ts'

type Flags = {
  cert: string
  key: string
  ca?: string
  api?: string
  compromise?: boolean
  daemon?: boolean
  output: Format
}

/** The clock may be set while it sleeps: it looks again at least so often. */
const LOOK_EVERY_MS = 60 * 60_000
const LOOK_AGAIN_MS = 60_000
const RETRY_FIRST_MS = 10_000
const RETRY_MAX_MS = LOOK_EVERY_MS

export function renewCommand(): Command {
  return new Command('renew')
    .summary('renew the certificate of this device, by itself')
    .description(
      'Run on the device. Renews its certificate from two thirds of its life on: makes a new key, has it certified,\n' +
        'tries the new pair, and only then puts it in the place of the old, which stays beside it as .old.\n' +
        'With --daemon it goes on for as long as it runs.',
    )
    .requiredOption('--cert <file>', 'certificate of the device (leaf, then chain)')
    .requiredOption('--key <file>', 'its private key')
    .option('--ca <file>', 'CA certificate of the service (default: ca.crt beside the certificate)')
    .option('--api <url>', 'address of the service (ROLLCALL_API; default: https://127.0.0.1:8443)')
    .option('--compromise', 'the key is no longer safe: ask for another now, which an operator approves')
    .option('--daemon', 'stay, and renew whenever it is time')
    .addOption(outputOption())
    .action(async (flags: Flags) => {
      const files: RenewalFiles = {
        certificate: flags.cert,
        key: flags.key,
        ca: flags.ca ?? join(dirname(flags.cert), 'ca.crt'),
      }
      const api = addressOf(flags)
      if (flags.daemon) await renewForEver(api, files, flags)
      else await renew(api, files, flags)
    })
}

/** When to look again, in ms from now, and whether an operator has yet to decide. */
type Next = { waitMs: number; pending: boolean }

async function renew(api: URL, files: RenewalFiles, flags: Flags): Promise<Next> {
  const outcome = await renewOnce(api, files, { compromise: flags.compromise ?? false })
  await printDocument(outcome, flags.output)
  if (outcome.renewed) {
    say(`renewed; the old pair is kept as .old, and ends after the first connection with the new one`)
    return { waitMs: 0, pending: false }
  }
  if ('status' in outcome) {
    say(
      `it waits for an operator (rollcall certificate approve ${outcome.fingerprint}): ask again then, with the same files`,
    )
    return { waitMs: LOOK_AGAIN_MS, pending: true }
  }
  say(`not due yet: renewal opens at ${outcome.opensAt}`)
  // The clock of the service decides; ours may be ahead of it.
  const opensAt = parseInstant(outcome.opensAt) ?? 0
  return { waitMs: Math.max(LOOK_AGAIN_MS, opensAt - Date.now()), pending: false }
}

async function renewForEver(api: URL, files: RenewalFiles, flags: Flags): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  let retryMs = RETRY_FIRST_MS
  for (let once = flags; !stop.signal.aborted; ) {
    let waitMs: number
    try {
      const next = await renew(api, files, once)
      waitMs = Math.min(next.waitMs, LOOK_EVERY_MS)
      retryMs = RETRY_FIRST_MS
      if (!next.pending) once = { ...flags, compromise: false }
    } catch (error) {
      say(`error: ${(error as Error).message}; trying again in ${Math.round(retryMs / 1000)} s`)
      waitMs = retryMs
      retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
    }
    // A fleet that was enrolled together must not come back together.
    const jitterMs = Math.random() * Math.max(1_000, waitMs / 10)
    await wait(waitMs + jitterMs, undefined, { signal: stop.signal }).catch(() => {})
  }
}

function addressOf({ api = process.env['ROLLCALL_API'] || 'https://127.0.0.1:8443' }: Flags): URL {
  const url = URL.canParse(api) ? new URL(api) : null
  if (url?.protocol === 'https:') return url
  throw new UsageError(`${api} is no https URL`, 'name the service as https://HOST:PORT')
}

function say(words: string): void {
  process.stderr.write(`${words}\n`)
}
