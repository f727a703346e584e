// The broker's own tests once more, on Bun, client and broker alike: in shares that run side by side, each file in a process of its own,
// as on Node. What they mean is left to them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { text } from 'node:stream/consumers'
import { before, describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import manifest from '../../package.json' with { type: 'json' }

const root = join(import.meta.dirname, '..', '..')
const version = manifest.config.bun
export const bun = join(root, 'node_modules', '.bin', 'bun')

/** One test, and one file of them, on a machine that does much else. */
const TEST_MS = 120_000
const FILE_MS = 600_000
/** What a failed file is quoted with, from its end. */
const LINES_QUOTED = 400

/** Folders below test/; `others` has whatever no other share has, so that a new folder is not forgotten. */
const folders = {
  admission: ['broker/{admission,threats}/**', 'race/**'],
  cluster: ['broker/{bus,cluster}/**'],
  gate: ['broker/{gate,gate-workers}/**'],
  mqtt: ['broker/mqtt/**'],
  others: ['broker/**'],
}
export type Share = keyof typeof folders

/** They measure the heap of V8, and Bun has another engine. */
const measuringV8 = [
  'broker/gate/transport/held-back.test.ts',
  'broker/gate/transport/octet-by-octet.test.ts',
  'broker/mqtt/device-memory.test.ts',
  'broker/mqtt/device-memory-sent.test.ts',
]

/** Files of a share, as paths below test/. */
function filesOf(share: Share): string[] {
  const all = globSync('{broker,race}/**/*.test.ts', { cwd: join(root, 'test') }).toSorted()
  for (const file of measuringV8) assert.ok(all.includes(file), `${file} is left out, and is not there`)
  const shareOf = (file: string) =>
    Object.entries(folders).find(([, globs]) => globs.some(glob => matchesGlob(file, glob)))?.[0]
  return all.filter(file => shareOf(file) === share && !measuringV8.includes(file))
}

/** Makes a test of each file of a share. One fails where the file does, where Bun runs none of its tests, and where it ends before their end. */
export function runOnBun(share: Share, skip: string | false = false): void {
  describe(`on Bun: ${share}`, { skip }, () => {
    before(assertInstalled)
    for (const file of filesOf(share))
      it(file, { timeout: FILE_MS }, async t => {
        const args = ['test', `--timeout=${TEST_MS}`, `./${join('test', file)}`]
        const { code, said } = await run(args, t.signal)
        const lines = said.trimEnd().split('\n')
        const counted = (what: string) => Number(new RegExp(`^ *(\\d+) ${what}$`, 'm').exec(said)?.[1] ?? 0)
        for (const line of new Set(lines.filter(one => one.startsWith('(skip)'))))
          t.diagnostic(`left out: ${line.slice('(skip) '.length)}`)
        const quoted = lines.filter(line => !line.startsWith('(pass)')).slice(-LINES_QUOTED)
        // A hook that fails is no failed test there; the exit code tells of it.
        assert.deepEqual({ code, failed: counted('fail') }, { code: 0, failed: 0 }, quoted.join('\n'))
        assert.match(lines.at(-1) ?? '', /^Ran \d+ tests? across 1 file\./)
        assert.ok(counted('pass') > 0, 'it ran them')
      })
  })
}

/** @throws with what to do, unless Bun is there in the version that package.json names. */
export async function assertInstalled(): Promise<void> {
  const how = `npm install --no-save bun@${version}`
  const { code, said } = await run(['--version']).catch(cause => {
    throw new Error(`Bun is not installed: ${how}`, { cause })
  })
  assert.deepEqual([code, said.trim()], [0, version], how)
}

async function run(args: string[], signal?: AbortSignal): Promise<{ code: number | null; said: string }> {
  const child = spawn(bun, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const [code, out, err] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
  return { code, said: stripVTControlCharacters(args[0] === 'test' ? err : out) }
}
