// `rollcall broker`: the broker alone, as a container or the supervisor runs it.
import { Command } from 'commander'
import { portNumber } from '../options.ts'
import { runServiceProcess } from './service-process.ts'
import {
  type BrokerVariableFlags,
  environmentOf,
  type RegistryVariableFlags,
  withBrokerVariables,
  withNode,
  withPq,
  withRegistry,
} from './variable-flags.ts'

type Flags = BrokerVariableFlags &
  RegistryVariableFlags & {
    data: string
    host: string
    mqttsPort: number
    adminHost: string
    adminPort?: number
  }

const ADMIN_PORT = 9464

export function brokerCommand(): Command {
  return withNode(withRegistry(withPq(withBrokerVariables(new Command('broker')))))
    .description(
      'Runs the broker alone. It waits for the provisioning service to lay the registry, then accepts devices.',
    )
    .requiredOption('--data <dir>', 'data directory, shared with the provisioning service')
    .option('--host <address>', 'address devices connect to', '127.0.0.1')
    .option('--mqtts-port <port>', 'port devices connect to', portNumber, 8883)
    .option('--admin-host <address>', 'address of health and metrics', '127.0.0.1')
    .option('--admin-port <port>', `port of health and metrics (default: ${ADMIN_PORT})`, portNumber)
    .action(async (flags: Flags) => {
      await runServiceProcess({
        name: 'broker',
        data: flags.data,
        admin: adminOf(flags, ADMIN_PORT),
        start: async () => {
          const { runBroker } = await import('../../broker/main.ts')
          return runBroker({
            data: flags.data,
            host: flags.host,
            mqttsPort: flags.mqttsPort,
            env: { ...process.env, ...environmentOf(flags) },
          })
        },
      })
    })
}

/** A supervised process opens no admin port unless it is told to. */
export function adminOf(flags: { adminHost: string; adminPort?: number }, standard: number) {
  if (flags.adminPort === undefined && process.send !== undefined) return null
  return { host: flags.adminHost, port: flags.adminPort ?? standard }
}
