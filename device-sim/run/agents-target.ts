// The machines that `--agents` names, and what such a run cannot have. Does not know how agents are reached.
import { readAgentAddresses } from '../agents/addresses.ts'
import { IDENTITY_FILE, readAgentIdentity } from '../agents/identity.ts'
import { BadUsage } from '../failure.ts'
import type { Plan } from '../scenario/plan.ts'
import { type Broker, isLoopback } from '../target.ts'
import type { AgentsTarget } from './worker-slots.ts'

export type AgentsFlags = { agents?: string; agentIdentity?: string }

/** Null where all devices are on this machine. @throws BadUsage with every problem. */
export function readAgents(
  { agents, agentIdentity }: AgentsFlags,
  { sources }: Pick<Plan, 'sources'>,
  broker: Broker,
): AgentsTarget | null {
  if (agents === undefined) {
    if (agentIdentity !== undefined) throw new BadUsage(['--agent-identity: only with --agents'])
    return null
  }
  const problems: string[] = []
  const addresses = readAgentAddresses(agents, problems)
  if (sources.length > 0) {
    problems.push('sources: addresses of this machine; start each agent with --sources of its own')
  }
  const elsewhere = addresses.find(({ host }) => !isLoopback(host))
  if (elsewhere && isLoopback(broker.host)) {
    problems.push(
      `--broker: ${broker.host} is another machine for agent ${elsewhere.name}; name the broker by an address that agents reach`,
    )
  }
  if (problems.length > 0) throw new BadUsage(problems)
  return { addresses, identity: readAgentIdentity(agentIdentity ?? IDENTITY_FILE) }
}
