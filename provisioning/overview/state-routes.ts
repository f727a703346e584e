// What operators look up about the installation: the settings that hold, and the last backup.
import Type, { type Static } from 'typebox'
import type { RegistryFigures } from '../../db/registry-figures.ts'
import { readBrokerSettings, readLastBackup, type ServiceSettings } from '../../db/service-records.ts'
import { type Api, refusals, secured, time } from '../http/api.ts'
import * as schemas from '../http/schemas.ts'

const Setting = Type.Object({
  name: Type.String(),
  value: schemas.Nullable(Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
  from: schemas.OneOf(['option', 'environment', 'file', 'default'] as const),
  source: schemas.Nullable(Type.String({ description: 'The variable or file that says so' })),
})
const Settings = Type.Object({
  services: Type.Array(
    Type.Object({
      service: schemas.OneOf(['provisioning', 'broker'] as const),
      startedAt: schemas.Time,
      settings: Type.Array(Setting),
    }),
  ),
})
const Backup = Type.Object({
  last: schemas.Nullable(
    Type.Object({
      madeAt: schemas.Time,
      epoch: Type.Integer({ description: 'The last change in it' }),
      everything: Type.Boolean({ description: 'Whether keys and certificates are in it, too' }),
      bytes: Type.Integer(),
    }),
  ),
  changesSince: schemas.Nullable(Type.Integer({ description: 'Of the change feed; null without a backup' })),
  registryBytes: Type.Integer(),
})

export type StateServices = {
  /** Where the data is, and what this service runs with. */
  state: {
    data: string
    own: ServiceSettings
    figures: () => Pick<RegistryFigures, 'latestEpoch' | 'bytes'>
  }
}

export function stateRoutes(api: Api, { state }: StateServices): void {
  const about = { tags: ['service'], security: secured, querystring: schemas.NoQuery }

  api.get(
    '/v1/settings',
    {
      schema: {
        ...about,
        summary: 'Read the settings that the services run with, and where each comes from',
        description:
          'Those of the broker as it wrote them down at its last start on this directory. Secrets are in files, of which only the names are settings.',
        response: { 200: Settings, ...refusals },
      },
    },
    async () => {
      const broker = readBrokerSettings(state.data)
      return {
        services: [shown('provisioning', state.own), ...(broker === null ? [] : [shown('broker', broker)])],
      }
    },
  )

  api.get(
    '/v1/backup',
    {
      schema: {
        ...about,
        summary: 'Read when the last backup was made, and what changed since',
        description:
          'Of `rollcall backup` on this directory. Whether the copy still exists is not known here.',
        response: { 200: Backup, ...refusals },
      },
    },
    async () => {
      const last = readLastBackup(state.data)
      const { latestEpoch, bytes } = state.figures()
      return {
        last: last === null ? null : { ...last, madeAt: time(last.madeAt) },
        changesSince: last === null ? null : Math.max(0, latestEpoch - last.epoch),
        registryBytes: bytes.main + bytes.log,
      }
    },
  )
}

function shown(
  service: 'provisioning' | 'broker',
  { startedAt, settings }: ServiceSettings,
): Static<typeof Settings>['services'][number] {
  return { service, startedAt: time(startedAt), settings }
}
