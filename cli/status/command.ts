// `rollcall status`: the fleet and its brokers at a glance.
import { Command } from 'commander'
import { ApiProblem } from '../../client/failures.ts'
import type { BackupState, FleetOverview } from '../../client/index.ts'
import { type Format, printDocument } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

const DAY = 86_400

export function statusCommand(): Command {
  return withServiceOptions(new Command('status'))
    .description(
      'Tells how many devices there are and are connected, what waits for an operator, and how the brokers are.',
    )
    .addHelpText('after', '\nExamples:\n  rollcall status\n  rollcall status -o json | jq .connected')
    .action(async (flags: ServiceFlags & { output: Format }) => {
      const [overview, backup] = await withService(flags, client =>
        Promise.all([client.overview(), client.backup().catch(nullWhereForbidden)]),
      )
      if (flags.output !== 'table') return printDocument({ ...overview, backup }, flags.output)
      const { devices, certificates, connected, waitingApproval, nodes } = overview
      const expiring = certificates.expiring.map(
        ({ withinSeconds, count }) => `${count} within ${Math.round(withinSeconds / DAY)} days`,
      )
      const brokers = nodes?.map(brokerLine)
      return printDocument(
        {
          devices,
          connected,
          'waiting for approval': waitingApproval,
          'certificates expired': certificates.expired,
          'certificates expiring': expiring,
          brokers: brokers ?? null,
          ...keyMissing(overview),
          'last backup': backup === null ? null : backupLine(backup),
        },
        'table',
      )
    })
}

/** The service that answers may share its registry with the one that made another CA. */
function keyMissing({ ca }: FleetOverview): { 'issuing CA': string } | null {
  const missing = ca?.issuers.find(({ current, keyHere }) => current && !keyHere)
  if (missing === undefined) return null
  return {
    'issuing CA': `key of ${missing.name} missing at this service: copy keys/issuing-${missing.id.slice(0, 16)}.key to it`,
  }
}

/** Replica and bus are shown where there are several machines. */
function brokerLine(broker: NonNullable<FleetOverview['nodes']>[number]): string {
  const { node, version, sessions, unhealthySince, drain, replica, busConnected } = broker
  const parts = [
    unhealthySince === null ? 'healthy' : `not healthy since ${unhealthySince}`,
    ...(drain === null ? [] : [`${drain.state} since ${drain.since}`]),
    `${sessions} sessions${drain === null ? '' : ' left'}`,
  ]
  if (replica !== null)
    parts.push(`replica ${replica.behind} groups behind, ${replica.ageSeconds.toFixed(1)} s old`)
  if (busConnected !== null) parts.push(busConnected ? 'bus connected' : 'bus not connected')
  return `${node} ${version}: ${parts.join(', ')}`
}

/** A viewer, or an operator of one group, is not told of backups. */
function nullWhereForbidden(error: unknown): null {
  if (error instanceof ApiProblem && error.status === 403) return null
  throw error
}

function backupLine({ last, changesSince }: BackupState): string {
  if (last === null) return 'none was made on this directory'
  const what = last.everything ? 'everything' : 'the registry alone'
  return `${last.madeAt}, ${what}, ${changesSince} changes since`
}
