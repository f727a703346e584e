// Whether a registry is whole, asked at every start: a small one before anybody is served, a large one beside the service,
// since reading a gigabyte would keep a whole fleet waiting after each restart.
import { fork } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Findings } from './integrity-process.ts'
import { assertIntegrity, type Registry } from './open.ts'

type IntegrityCheck = {
  /** What is wrong with the file, once it is known; null while nothing is. */
  damage(): string | null
  stop(): void
}

/** Checked in some tenths of a second: the registry of some 40,000 devices. */
const CHECKED_FIRST_BYTES_MAX = 64 * 1024 * 1024

/**
 * @throws {RegistryError} `registry_corrupt` where a small registry is damaged. `onDamage` hears of a large one.
 */
export function beginIntegrityCheck(
  registry: Registry,
  onDamage: (damage: string) => void,
  checkedFirstBytesMax = CHECKED_FIRST_BYTES_MAX,
): IntegrityCheck {
  if (statSync(registry.file).size <= checkedFirstBytesMax) {
    assertIntegrity(registry)
    return { damage: () => null, stop() {} }
  }
  const name = import.meta.url.endsWith('.ts') ? './integrity-process.ts' : './integrity-process.js'
  const child = fork(fileURLToPath(new URL(name, import.meta.url)), [registry.file], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  let damage: string | null = null
  child.once('message', findings => {
    damage = (findings as Findings).damage
    if (damage !== null) onDamage(damage)
  })
  // One that could not run found nothing: the next start asks again.
  child.on('error', () => {})
  child.unref()
  child.channel?.unref()
  return {
    damage: () => damage,
    stop() {
      child.kill('SIGKILL')
    },
  }
}
