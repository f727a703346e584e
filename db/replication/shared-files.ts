// Files that one provisioning process makes and all of them serve, such as CRLs, in PostgreSQL under a name and their hash.

import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'

export type SharedFiles = {
  put(name: string, hash: string, content: Buffer): Promise<void>
  /** Null where the file is not there, or another version of it. */
  get(name: string, hash: string): Promise<Buffer | null>
  close(): void
}

export function createSharedFiles(options: { settings: PostgresSettings; name: string }): SharedFiles {
  const link = createPostgresLink({ ...options, name: `${options.name} files` })
  return {
    put: (name, hash, content) =>
      link.ask(async client => {
        await client.query(
          `INSERT INTO rollcall.shared_files (name, hash, content) VALUES ($1, $2, $3)
           ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, content = excluded.content`,
          [name, hash, content],
        )
      }),
    get: (name, hash) =>
      link.ask(async client => {
        const { rows } = await client.query<{ content: Buffer }>(
          'SELECT content FROM rollcall.shared_files WHERE name = $1 AND hash = $2',
          [name, hash],
        )
        return rows[0]?.content ?? null
      }),
    close: link.close,
  }
}
