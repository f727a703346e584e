// What tests take for the next version of the software: its tables have one step more, which nodes of this version go together with, and
// it knows one format more. Nothing else differs.
import { FORMATS } from '../../../db/cluster/formats.ts'
import { clusterTables } from '../../../db/cluster/schema.ts'

export const nextVersion = {
  tables: {
    ...clusterTables,
    steps: [...clusterTables.steps, 'ALTER TABLE rollcall_cluster.nodes ADD COLUMN next_version text'],
  },
  formats: { oldest: FORMATS.oldest, newest: FORMATS.newest + 1 },
}

/** One that does not read any more what this one writes. */
export const versionAfterNext = {
  ...nextVersion,
  formats: { oldest: FORMATS.newest + 1, newest: FORMATS.newest + 2 },
}

/** One whose tables this one does not go together with. */
export const incompatibleTables = {
  ...nextVersion,
  tables: { ...nextVersion.tables, oldest: nextVersion.tables.steps.length },
}
