// A writer as a process: adds devices one after the other, and is killed where the parent says: after PostgreSQL has a group and before
// the replica has it.
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { tester } from '../../harness/roll.ts'

const [url, file, killedAt] = process.argv.slice(2) as [string, string, string]
let published = 0
const { registry } = await openSharedRegistry({
  ...{ settings: readPostgresSettings(url), file, name: 'killed' },
  onFailed(error) {
    throw error
  },
  published() {
    published += 1
    if (published === Number(killedAt)) process.kill(process.pid, 'SIGKILL')
  },
})
const writer = createRegistryWriter(registry)
for (let index = 0; ; index += 1) {
  const id = `${killedAt}-${index}`
  await writer.addDevice({ id, attributes: {}, groups: [] }, tester)
  process.stdout.write(`${id}\n`)
}
