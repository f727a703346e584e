// `rollcall status`: the fleet and its brokers at a glance.
import { Command } from 'commander'
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
      const overview = await withService(flags, client => client.overview())
      if (flags.output !== 'table') return printDocument(overview, flags.output)
      const { devices, certificates, connected, waitingApproval, nodes } = overview
      const expiring = certificates.expiring.map(
        ({ withinSeconds, count }) => `${count} within ${Math.round(withinSeconds / DAY)} days`,
      )
      const brokers = nodes?.map(
        ({ node, version, sessions, healthy }) =>
          `${node} ${version}: ${healthy ? 'healthy' : 'not healthy'}, ${sessions} sessions`,
      )
      return printDocument(
        {
          devices,
          connected,
          'waiting for approval': waitingApproval,
          'certificates expired': certificates.expired,
          'certificates expiring': expiring,
          brokers: brokers ?? null,
        },
        'table',
      )
    })
}
