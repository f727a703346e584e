// Which runtime carries the broker: Node, or Bun where it is installed beside Rollcall and passes a check (ADR 0058).
// Everything else of Rollcall runs on Node.
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import manifest from '../../package.json' with { type: 'json' }
import { CommandFailed } from '../errors.ts'

export const brokerRuntimes = ['node', 'bun', 'auto'] as const
export type BrokerRuntime = (typeof brokerRuntimes)[number]

/** `program` runs the broker; `why` says what decided, where more than one runtime could. */
export type ChosenRuntime = { name: 'node' | 'bun'; program: string; why: string | null }

/** The one version that the tests of the broker were run on. */
const BUN_VERSION = manifest.config.bun

/**
 * The runtime, or a promise of it where Bun is there and has to pass the check first: that takes a while, in which other things can start.
 * Throws where Bun is asked for by name and is not there or of another version; rejects where it fails the check.
 */
export function chooseBrokerRuntime(asked: BrokerRuntime): ChosenRuntime | Promise<ChosenRuntime> {
  if (asked === 'node') return onNode(null)
  const bun = findBun()
  if ('problem' in bun) return withoutBun(asked, bun.problem)
  return check(bun.program).then(problem =>
    problem === null
      ? { name: 'bun', program: bun.program, why: `Bun ${BUN_VERSION} passed the check` }
      : withoutBun(asked, problem),
  )
}

function onNode(why: string | null): ChosenRuntime {
  return { name: 'node', program: process.execPath, why }
}

function withoutBun(asked: 'bun' | 'auto', problem: string): ChosenRuntime {
  if (asked === 'auto') return onNode(problem)
  throw new CommandFailed(
    `the broker cannot run on Bun: ${problem}`,
    `npm install --no-save bun@${BUN_VERSION} beside Rollcall, or --broker-runtime node`,
  )
}

/**
 * What the environment of a broker on Bun has besides: no directory of CAs. BoringSSL looks there for the issuers of each certificate that a
 * device shows, some six files a connection, and to no purpose: the registry's issuers alone decide. A directory that the operator names
 * stays, and so does the system's where the broker itself verifies servers, PostgreSQL's or NATS's. `env` is all that it gets otherwise.
 */
export function bunEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const verifiesServers = Boolean(env['ROLLCALL_REGISTRY'] || env['ROLLCALL_BUS'])
  return verifiesServers || env['SSL_CERT_DIR'] !== undefined ? {} : { SSL_CERT_DIR: '' }
}

/** The program of the `bun` package, as Node resolves packages from here. */
function findBun(): { program: string } | { problem: string } {
  const require = createRequire(import.meta.url)
  try {
    const path = require.resolve('bun/package.json')
    const { version, bin } = require(path) as { version: string; bin: { bun: string } }
    return version === BUN_VERSION
      ? { program: join(dirname(path), bin.bun) }
      : { problem: `the package bun has version ${version}; ${BUN_VERSION} is the one tested` }
  } catch {
    return { problem: 'the package bun is not installed' }
  }
}

/** Loaded only where Bun is asked for. */
async function check(program: string): Promise<string | null> {
  const { checkRuntime } = await import('./broker-runtime-check.ts')
  return checkRuntime(program, BUN_VERSION)
}
