// Publishes the broker's statistics as retained messages when they change. Policies decide which clients may read them.

import type { CountedLimits } from '../gate/limits/connection-limits.ts'
import type { Engine } from '../mqtt/index.ts'
import { createLoads, type SysStatistics, sysTexts } from './sys-statistics.ts'

type SysTopicsOptions = {
  /** 0 for never. */
  everyMs: number
  version: string
  engine: Pick<Engine, 'traffic' | 'sessionStatistics' | 'queued' | 'announce'>
  limits: Pick<CountedLimits, 'begun'>
}

/** The first figures are there when it returns. */
export function createSysTopics({ everyMs, version, engine, limits }: SysTopicsOptions): { stop(): void } {
  if (everyMs === 0) return { stop() {} }
  const beganAt = performance.now()
  const shown = new Map<string, string>()
  let before = figures()
  const loads = createLoads(before)

  function figures(): SysStatistics {
    const { queuedMessages, queuedBytes, retained, retainedBytes } = engine.queued()
    return {
      version,
      uptimeMs: performance.now() - beganAt,
      ...engine.sessionStatistics(),
      retained,
      stored: queuedMessages + retained,
      storedBytes: queuedBytes + retainedBytes,
      sockets: limits.begun(),
      traffic: { ...engine.traffic },
    }
  }

  function show(): void {
    const now = figures()
    for (const [topic, payload] of [...sysTexts(now), ...loads(now, now.uptimeMs - before.uptimeMs)]) {
      if (shown.get(topic) === payload) continue
      shown.set(topic, payload)
      engine.announce({ topic, payload, qos: 0, retain: true })
    }
    before = now
  }

  show()
  const timer = setInterval(show, everyMs)
  return { stop: () => clearInterval(timer) }
}
