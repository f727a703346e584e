// Flags that stand for variables of the services, and win over them and the file: the service reads the variables.
import { type Command, InvalidArgumentError, Option } from 'commander'
import { pqModes } from '../../pki/key-policy.ts'
import { caKeyTypes } from '../../provisioning/ca/keys.ts'

export type BrokerVariableFlags = {
  gates?: string
  pq?: string
  tlsGroups?: string
  bus?: string
  snapshot?: string
}
export type ProvisioningVariableFlags = { pq?: string; caKeyType?: string }
export type RegistryVariableFlags = { registry?: string; registryPasswordFile?: string; node?: string }

const variables = {
  gates: ['ROLLCALL_BROKER_GATES'],
  pq: ['ROLLCALL_PQ', 'ROLLCALL_BROKER_PQ'],
  tlsGroups: ['ROLLCALL_BROKER_TLS_GROUPS'],
  bus: ['ROLLCALL_BUS'],
  snapshot: ['ROLLCALL_SNAPSHOT'],
  caKeyType: ['ROLLCALL_ROOT_KEY_TYPE', 'ROLLCALL_ISSUING_KEY_TYPE'],
  registry: ['ROLLCALL_REGISTRY'],
  registryPasswordFile: ['ROLLCALL_REGISTRY_PASSWORD_FILE'],
  node: ['ROLLCALL_NODE'],
} as const

export function isVariableFlag(name: string): name is keyof typeof variables {
  return Object.hasOwn(variables, name)
}

/** What the given flags put into the environment of the services. */
export function environmentOf(
  flags: BrokerVariableFlags & ProvisioningVariableFlags & RegistryVariableFlags,
): NodeJS.ProcessEnv {
  const given: NodeJS.ProcessEnv = {}
  for (const [flag, names] of Object.entries(variables)) {
    const value = flags[flag as keyof typeof variables]
    if (value !== undefined) for (const name of names) given[name] = value
  }
  return given
}

export function withBrokerVariables(command: Command): Command {
  return command
    .option(
      '--gates <number>',
      'processes that take connections: a number, auto for one less than the cores, 0 for none beside the engine',
      gateCount,
    )
    .option('--tls-groups <list>', 'key exchange groups of TLS, the preferred first, separated by colons')
    .option(
      '--bus <url>',
      'nats://… by which brokers that share a registry (--registry) share messages and sessions',
    )
    .option(
      '--snapshot <file>',
      'what rollcall registry snapshot made: a new replica of the broker begins with it; without --registry it is all that there is',
    )
}

export function withPq(command: Command): Command {
  return command.addOption(
    new Option(
      '--pq <mode>',
      'ML-DSA keys: off refuses them, accept takes those of devices, issue those of our CAs too (default: accept)',
    ).choices(pqModes),
  )
}

export function withRegistry(command: Command): Command {
  return command
    .option(
      '--registry <url>',
      'postgres://… of a registry that several machines share; without it, the data directory holds it',
    )
    .option('--registry-password-file <file>', 'file with the password for --registry')
}

/** How the registry calls this broker, where several have one. */
export function withNode(command: Command): Command {
  return command.option(
    '--node <name>',
    "with --registry: this broker's own name there (default: the name of the host)",
  )
}

export function withCaKeyType(command: Command): Command {
  return command.addOption(
    new Option(
      '--ca-key-type <type>',
      'key of root and issuing CA, where they are made (default: p256); ML-DSA needs --pq issue',
    ).choices(caKeyTypes),
  )
}

/** A number of gates, or `auto`. */
function gateCount(text: string): string {
  if (text === 'auto' || (/^\d{1,2}$/.test(text) && Number(text) <= 64)) return text
  throw new InvalidArgumentError('a whole number from 0 to 64, or auto')
}
