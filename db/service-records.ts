// Records beside the registry that no decision depends on: the settings that a service runs with, and the last backup. Each is a
// small JSON file, replaced whole; one that is missing or damaged reads as none.
import { chownSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** `source` is the variable or file that says so; null for a default and for an option of the start. Secrets are in none. */
export type SettingRecord = {
  name: string
  value: string | number | boolean | null
  from: 'option' | 'environment' | 'file' | 'default'
  source: string | null
}
/** `startedAt` in ms since the epoch. */
export type ServiceSettings = { startedAt: number; settings: SettingRecord[] }
/** `madeAt` in ms since the epoch; `epoch` is the last change in it. `everything` if keys and certificates are in it, too. */
export type BackupRecord = { madeAt: number; epoch: number; everything: boolean; bytes: number }

const BROKER_SETTINGS = 'broker-settings.json'
const LAST_BACKUP = 'last-backup.json'
const BYTES_MAX = 256 * 1_024

/** Throws what the file system says. */
export function writeBrokerSettings(data: string, settings: ServiceSettings): void {
  write(join(data, BROKER_SETTINGS), settings)
}

export function readBrokerSettings(data: string): ServiceSettings | null {
  const found = read(join(data, BROKER_SETTINGS)) as ServiceSettings | null
  if (found === null || !Number.isSafeInteger(found.startedAt) || !Array.isArray(found.settings)) return null
  return { startedAt: found.startedAt, settings: found.settings.filter(isSetting) }
}

/** Throws what the file system says. */
export function writeLastBackup(data: string, backup: BackupRecord): void {
  write(join(data, LAST_BACKUP), backup)
}

export function readLastBackup(data: string): BackupRecord | null {
  const found = read(join(data, LAST_BACKUP)) as BackupRecord | null
  if (found === null) return null
  const { madeAt, epoch, everything, bytes } = found
  const numbers = [madeAt, epoch, bytes].every(Number.isSafeInteger)
  return numbers && typeof everything === 'boolean' ? { madeAt, epoch, everything, bytes } : null
}

/** The file is of the directory's owner, so that the service can read what root wrote. */
function write(file: string, content: object): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx' })
    const { uid, gid } = statSync(dirname(file))
    if (process.getuid?.() === 0) chownSync(temporary, uid, gid)
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

function read(file: string): unknown {
  try {
    if (statSync(file).size > BYTES_MAX) return null
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return typeof content === 'object' ? content : null
  } catch {
    return null
  }
}

const origins = ['option', 'environment', 'file', 'default']

function isSetting(row: unknown): row is SettingRecord {
  if (typeof row !== 'object' || row === null) return false
  const { name, value, from, source } = row as SettingRecord
  return (
    typeof name === 'string' &&
    (value === null || ['string', 'number', 'boolean'].includes(typeof value)) &&
    origins.includes(from) &&
    (source === null || typeof source === 'string')
  )
}
