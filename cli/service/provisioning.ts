// `rollcall provisioning`: the provisioning service alone, as a container or the supervisor runs it.
import { Command } from 'commander'
import { collect, portNumber } from '../options.ts'
import { adminOf } from './broker.ts'
import { runServiceProcess } from './service-process.ts'
import {
  environmentOf,
  type ProvisioningVariableFlags,
  type RegistryVariableFlags,
  withCaKeyType,
  withPq,
  withRegistry,
} from './variable-flags.ts'

type Flags = ProvisioningVariableFlags &
  RegistryVariableFlags & {
    data: string
    host: string
    apiPort: number
    statusPort: number
    san: string[]
    adminHost: string
    adminPort?: number
  }

const ADMIN_PORT = 9465

export function provisioningCommand(): Command {
  return withRegistry(withCaKeyType(withPq(new Command('provisioning'))))
    .description(
      'Runs the provisioning service alone. At first start it lays the registry, the CAs and the API token.',
    )
    .requiredOption('--data <dir>', 'data directory, shared with the broker')
    .option('--host <address>', 'address of the HTTP API', '127.0.0.1')
    .option('--api-port <port>', 'port of the HTTP API', portNumber, 8443)
    .option('--status-port <port>', 'port of CRL and OCSP, plain HTTP', portNumber, 8880)
    .option('--san <name>', 'one more name or address in the server certificate (repeatable)', collect, [])
    .option('--admin-host <address>', 'address of health and metrics', '127.0.0.1')
    .option('--admin-port <port>', `port of health and metrics (default: ${ADMIN_PORT})`, portNumber)
    .action(async (flags: Flags) => {
      await runServiceProcess({
        name: 'provisioning',
        data: flags.data,
        admin: adminOf(flags, ADMIN_PORT),
        start: async () => {
          const { runProvisioning } = await import('../../provisioning/main.ts')
          const { data, host, apiPort, statusPort, san: sans } = flags
          return runProvisioning(
            { data, host, apiPort, statusPort, sans },
            { ...process.env, ...environmentOf(flags) },
          )
        },
      })
    })
}
