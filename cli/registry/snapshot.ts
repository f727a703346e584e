// A signed snapshot of a registry in PostgreSQL, for brokers.
import { existsSync } from 'node:fs'
import { readPostgresSettings } from '../../db/replication/postgres.ts'
import { createPostgresLink, unreachable } from '../../db/replication/postgres-link.ts'
import { preparePostgresSchema } from '../../db/replication/postgres-schema.ts'
import { SnapshotRefused, writeSnapshot } from '../../db/replication/snapshot-file.ts'
import { readKey } from '../../provisioning/ca/keys.ts'
import { dataDirectory } from '../../provisioning/data-directory.ts'
import { CommandFailed } from '../errors.ts'

/** For one page of rows. */
const ANSWER_MS = 60_000

type Taken = { file: string; registryId: string; group: number; takenAt: string; bytes: number }

/** @throws CommandFailed where the file is there, or the directory has no audit key */
export async function snapshotRegistry(
  data: string,
  url: string,
  out: string,
  passwordFile: string | undefined,
): Promise<Taken> {
  const settings = readPostgresSettings(url, { passwordFile })
  if (existsSync(out)) throw new CommandFailed(`${out} is there already`, 'name a new file')
  const { auditKey } = dataDirectory(data)
  const key = readKey(auditKey)
  if (key === null)
    throw new CommandFailed(
      `there is no key ${auditKey}`,
      'name the data directory of a provisioning service',
    )
  const link = createPostgresLink({
    ...{ settings, name: 'rollcall registry snapshot', answerMs: ANSWER_MS },
    prepare: client => preparePostgresSchema(client, false),
  })
  try {
    const { registryId, group, takenAt, bytes } = await link.ask(client =>
      writeSnapshot(client, { out, key, now: Date.now }),
    )
    const at = new Date(takenAt).toISOString()
    return { file: out, registryId, group: group.sequence, takenAt: at, bytes }
  } catch (error) {
    if (error instanceof SnapshotRefused)
      throw new CommandFailed(error.message, 'start a service on it first')
    throw (error as NodeJS.ErrnoException).syscall === undefined ? unreachable(error, settings) : error
  } finally {
    link.close()
  }
}
