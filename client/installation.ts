// The installation: settings that hold, and the last backup.
import type { Transport } from './transport.ts'

/** `source` is the variable or file that says so. */
export type ServiceSetting = {
  name: string
  value: string | number | boolean | null
  from: 'option' | 'environment' | 'file' | 'default'
  source: string | null
}
export type RunningSettings = {
  services: { service: 'provisioning' | 'broker'; startedAt: string; settings: ServiceSetting[] }[]
}
/** `changesSince` counts changes of the feed after the last one in the backup. */
export type BackupState = {
  last: { madeAt: string; epoch: number; everything: boolean; bytes: number } | null
  changesSince: number | null
  registryBytes: number
}

export function installationVerbs(call: Transport['call']) {
  return {
    /** What the services run with. */
    settings: () => call<RunningSettings>('GET', '/v1/settings'),
    backup: () => call<BackupState>('GET', '/v1/backup'),
  }
}
