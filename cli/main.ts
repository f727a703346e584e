#!/usr/bin/env node
// The entry of the `rollcall` command: refuses a runtime that is too old or untested, in words, before anything else is loaded.
import manifest from '../package.json' with { type: 'json' }

const needed = manifest.engines.node.replace('>=', '')
const bun = process.versions['bun']
const untested = bun !== undefined && (bun !== manifest.config.bun || process.argv[2] !== 'broker')

if (untested) {
  process.stderr.write(
    `error: on Bun rollcall ${manifest.version} runs its broker alone, and on Bun ${manifest.config.bun}; this is ${bun}\n` +
      'hint: rollcall up --broker-runtime bun starts the broker on Bun and everything else on Node\n',
  )
  process.exitCode = 1
} else if (bun === undefined && isOlder(process.versions.node, needed)) {
  process.stderr.write(
    `error: rollcall ${manifest.version} needs Node ${needed} or later; this is ${process.versions.node}\n` +
      'hint: install a current Node; in a clone, npm ci brings one along and ./rollcall uses it\n',
  )
  process.exitCode = 1
} else if (process.argv.length === 3 && ['--version', '-V', 'version'].includes(process.argv[2] ?? '')) {
  process.stdout.write(`${manifest.version}\n`)
} else {
  if (process.argv[2] === 'up') (await import('./service/code-cache.ts')).useCodeCache(process.argv.slice(3))
  const { run } = await import('./program.ts')
  process.exitCode = await run(process.argv.slice(2), manifest.version)
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [majorNeeded = 0, minorNeeded = 0] = than.split('.').map(Number)
  return major === majorNeeded ? minor < minorNeeded : major < majorNeeded
}
