// Brokers: the list, and draining one.
import type { Transport } from './transport.ts'

/** As the broker last said. Times are RFC 3339. */
export type BrokerNode = {
  node: string
  version: string
  /** That are connected. */
  sessions: number
  lagSeconds: number
  healthy: boolean
  /** When it was last seen, or the oldest change that it has not acted on; null where it is healthy. */
  unhealthySince: string | null
  lastSeen: string
  /** Null where it takes sessions. `drained`: it has none any more. */
  drain: {
    state: 'draining' | 'drained'
    since: string
    overSeconds: number
    /** Clients are told 0x9D (server moved) in place of 0x9C (use another server). */
    moved: boolean
    serverReference: string | null
  } | null
  /** Of a registry that several machines share, as the broker last reported; null without. */
  replica: { sequence: number; behind: number; ageSeconds: number } | null
  /** Null without a bus. */
  busConnected: boolean | null
}
/** `node` is null where it does not run now; `changed` is false where it was so before. */
export type NodeChange = { name: string; node: BrokerNode | null; changed: boolean }
/** `overSeconds` is 60 where it is left out; `serverReference` is `host` or `host:port`, several with a blank between them. */
export type NodeDrain = { overSeconds?: number; serverReference?: string; moved?: boolean }

type Walk = <Item>(path: string, query: Record<string, never>) => AsyncGenerator<Item[], void>

export function nodeVerbs(call: Transport['call'], walk: Walk) {
  const path = (node: string, verb: string) => `/v1/nodes/${encodeURIComponent(node)}/${verb}`
  return {
    /** Those that run. */
    pages: () => walk<BrokerNode>('/v1/nodes', {}),
    /** It takes no session any more, and ends those that it has. The same again changes nothing. */
    drain: (node: string, options: NodeDrain = {}) => call<NodeChange>('POST', path(node, 'drain'), options),
    resume: (node: string) => call<NodeChange>('POST', path(node, 'resume')),
  }
}
