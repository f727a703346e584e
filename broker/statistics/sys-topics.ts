// Publishes the broker's statistics as retained messages when they change: with a bus those of all nodes together, and of each.
// Policies decide which clients may read them.

import type { CountedLimits } from '../gate/limits/connection-limits.ts'
import type { Engine } from '../mqtt/index.ts'
import type { OtherNodes } from './node-statistics.ts'
import { createLoads, type NodeStatistics, type SysStatistics, sysTexts, totalOf } from './sys-statistics.ts'

const ALL = '$SYS/broker'
/** Names of nodes, and below it what each of them says of itself, where EMQX has them. */
const EACH = '$SYS/brokers'

type SysTopicsOptions = {
  /** 0 for never. */
  everyMs: number
  version: string
  engine: Pick<Engine, 'traffic' | 'sessionStatistics' | 'queued' | 'announce'>
  limits: Pick<CountedLimits, 'begun'>
  /** Null for the only node. */
  openOthers: (() => OtherNodes) | null
}

/** The first figures are there when it returns, of other nodes once they have told theirs. */
export function createSysTopics(options: SysTopicsOptions): { stop(): void } {
  const { everyMs, version, engine, limits } = options
  if (everyMs === 0) return { stop() {} }
  const others = options.openOthers?.() ?? null
  const beganAt = performance.now()
  const shown = new Map<string, string>()
  let before = figures()
  let connectedMax = 0
  const loads = createLoads(before)

  function figures(): SysStatistics {
    const { queuedMessages, queuedBytes, retained, retainedBytes } = engine.queued()
    return {
      version,
      uptimeMs: performance.now() - beganAt,
      ...engine.sessionStatistics(),
      ...{ retained, retainedBytes, queued: queuedMessages, queuedBytes },
      sockets: limits.begun(),
      traffic: { ...engine.traffic },
    }
  }

  function textsOf(own: NodeStatistics): Map<string, string> {
    const texts = new Map<string, string>()
    const add = (root: string, node: NodeStatistics) => {
      for (const [name, payload] of sysTexts(node)) texts.set(`${root}/${name}`, payload)
    }
    const elsewhere = others?.exchange(own) ?? []
    const all = [own, ...elsewhere.map(({ statistics }) => statistics)] as const
    const total = totalOf(all)
    // Nobody sees all nodes at each moment: the most that one look has seen, or that one node had alone.
    connectedMax = Math.max(connectedMax, total.connected, ...all.map(node => node.connectedMax))
    add(ALL, { ...total, connectedMax })
    if (others !== null) {
      const nodes = [{ name: others.name, statistics: own }, ...elsewhere]
      for (const { name, statistics } of nodes) add(`${EACH}/${levelOf(name)}`, statistics)
      texts.set(
        EACH,
        nodes
          .map(({ name }) => levelOf(name))
          .sort()
          .join(','),
      )
    }
    // As mosquitto does, these count themselves.
    texts.set(`${ALL}/retained messages/count`, String(total.retained + texts.size + 1))
    return texts
  }

  function show(): void {
    const now = figures()
    const texts = textsOf({ ...now, loads: loads(now, now.uptimeMs - before.uptimeMs) })
    before = now
    // What nobody says any more is removed.
    for (const topic of shown.keys()) if (!texts.has(topic)) publish(topic, '')
    for (const [topic, payload] of texts) if (shown.get(topic) !== payload) publish(topic, payload)
  }

  function publish(topic: string, payload: string): void {
    if (payload === '') shown.delete(topic)
    else shown.set(topic, payload)
    engine.announce({ topic, payload, qos: 0, retain: true })
  }

  show()
  const timer = setInterval(show, everyMs)
  return {
    stop() {
      clearInterval(timer)
      others?.stop()
    },
  }
}

/** A node's name as one level of a topic. */
function levelOf(name: string): string {
  return encodeURIComponent(name.toWellFormed())
}
