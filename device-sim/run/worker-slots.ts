// Where the workers of a run are: on this machine, or on agents, and whether those can carry so many devices.
// Does not know what workers do.
import { availableParallelism } from 'node:os'
import type { AgentAddress } from '../agents/addresses.ts'
import type { Agents, ConnectedAgent } from '../agents/coordinator.ts'
import type { Identity } from '../enrollment/identity.ts'
import { RunFailed } from '../failure.ts'
import type { AgentFacts } from '../results/summary.ts'
import type { Plan } from '../scenario/plan.ts'
import type { WorkerSlot } from '../workers/channel.ts'
import { descriptorsMax } from '../workers/descriptors.ts'
import { localWorker } from '../workers/local-worker.ts'
import type { WorkerRuntime } from '../workers/runtime.ts'
import { shortages, workersFor } from './limits.ts'

export type AgentsTarget = { addresses: AgentAddress[]; identity: Identity }

export type WorkerSlots = {
  slots: WorkerSlot[]
  /** As known now; none where all is on this machine. */
  agents(): AgentFacts[]
  /** Ends the connections to agents. */
  close(): void
}

/** @throws RunFailed where an agent is not to be had, or the machines cannot carry so many devices. */
export async function findWorkerSlots(
  plan: Plan,
  devices: number,
  agents: AgentsTarget | null,
  { version, signal, runtime }: { version: string; signal: AbortSignal; runtime: WorkerRuntime },
): Promise<WorkerSlots> {
  if (!agents) return here(plan, devices, runtime)
  const { connectAgents } = await import('../agents/coordinator.ts')
  const connected = await connectAgents({ ...agents, version, signal, groups: plan.groups.length })
  try {
    return await onAgents(plan, devices, connected)
  } catch (error) {
    connected.close()
    throw error
  }
}

function here(plan: Plan, devices: number, runtime: WorkerRuntime): WorkerSlots {
  const descriptors = descriptorsMax()
  const workers = plan.workers ?? workersFor(devices, availableParallelism(), descriptors)
  const short = shortages(devices, workers, plan.sources.length, descriptors)
  if (short.length > 0) throw new RunFailed(short.join('; '))
  const slots = Array.from({ length: workers }, (_, index) => localWorker(`worker ${index + 1}`, runtime))
  return { slots, agents: () => [], close: () => {} }
}

async function onAgents(plan: Plan, devices: number, { connected, close }: Agents): Promise<WorkerSlots> {
  const share = Math.ceil(devices / connected.length)
  const sized = connected.map(agent => ({
    agent,
    workers: plan.workers ?? workersFor(share, agent.cpus + 1, agent.descriptors),
  }))
  // Devices are dealt out evenly among workers.
  const all = sized.reduce((sum, { workers }) => sum + workers, 0)
  const short = sized.flatMap(({ agent, workers }) => {
    const own = Math.ceil((devices * workers) / all)
    return shortages(own, workers, agent.sources.length, agent.descriptors).map(
      why => `${agent.name}: ${why}`,
    )
  })
  if (short.length > 0) throw new RunFailed(short.join('; '))
  const opened = await Promise.all(sized.map(({ agent, workers }) => agent.open(workers)))
  return { slots: opened.flat(), agents: () => sized.map(factsOf), close }
}

function factsOf({ agent, workers }: { agent: ConnectedAgent; workers: number }): AgentFacts {
  const { name, cpus, node, runtime } = agent
  return { name, workers, cpus, node, runtime, clockErrorMs: Math.round(agent.clockErrorMs() * 1000) / 1000 }
}
