#!/usr/bin/env node
// The entry of the `rollcall-sim` command: `rollcall sim` alone. Refuses a Node that is too old, before anything else is loaded.
import { readFileSync } from 'node:fs'
import { startWorkerAhead } from '../workers/local-worker.ts'
import { keepCompiledCode } from './code-cache.ts'

const manifest = JSON.parse(
  readFileSync(
    new URL(import.meta.url.endsWith('.ts') ? 'package.json' : '../package.json', import.meta.url),
    'utf8',
  ),
) as { version: string; engines: { node: string } }
const [needed = '', current = ''] = [manifest.engines.node.replace('>=', ''), process.versions.node]

if (current.localeCompare(needed, 'en', { numeric: true }) < 0) {
  process.stderr.write(
    `error: rollcall-sim ${manifest.version} needs Node ${needed} or later; this is ${current}\n`,
  )
  process.exitCode = 1
} else {
  keepCompiledCode(process.env)
  const args = process.argv.slice(2)
  startWorkerAhead(args)
  const { runProgram } = await import('../commands/program.ts')
  await runProgram(args, manifest.version)
}
