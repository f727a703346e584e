// What a run was made with, for its record.
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'

export function environment() {
  const ask = (command: string, args: string[]) => {
    try {
      return execFileSync(command, args, { encoding: 'utf8' }).trim().split('\n')[0]
    } catch (error) {
      return (error as { stdout?: string }).stdout?.split('\n')[0] ?? 'absent' // mosquitto -h exits with 3
    }
  }
  return {
    at: new Date().toISOString(),
    commit: ask('git', ['rev-parse', 'HEAD']),
    node: process.version,
    openssl: process.versions.openssl,
    processor: `${cpus().length} × ${cpus()[0]?.model}`,
    mosquitto: ask('mosquitto', ['-h']),
  }
}
