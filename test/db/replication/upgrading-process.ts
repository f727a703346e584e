// An upgrade as a process that is killed before it is there for others.
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { upgradeRegistry } from '../../../db/replication/upgrade.ts'

const [url, file] = process.argv.slice(2) as [string, string]
await upgradeRegistry({
  ...{ settings: readPostgresSettings(url), file, name: 'killed' },
  beforeCommit: () => process.kill(process.pid, 'SIGKILL'),
})
