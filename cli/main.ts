#!/usr/bin/env node
// The entry of the `rollcall` command: refuses a Node that is too old, in words, before anything else is loaded.
import manifest from '../package.json' with { type: 'json' }

const needed = manifest.engines.node.replace('>=', '')

if (isOlder(process.versions.node, needed)) {
  process.stderr.write(
    `error: rollcall ${manifest.version} needs Node ${needed} or later; this is ${process.versions.node}\n` +
      'hint: install a current Node; in a clone, npm ci brings one along and ./rollcall uses it\n',
  )
  process.exitCode = 1
} else {
  const { run } = await import('./program.ts')
  process.exitCode = await run(process.argv.slice(2), manifest.version)
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [majorNeeded = 0, minorNeeded = 0] = than.split('.').map(Number)
  return major === majorNeeded ? minor < minorNeeded : major < majorNeeded
}
