// How long TCP, TLS and CONNACK took, of one attempt that was admitted. Does not know links.
import type { WorkerContext } from './worker-context.ts'

export type AttemptPhases = { over(part: 'tcp' | 'tls'): void; admitted(): void }

export function createAttemptPhases({ schedule, latencies }: WorkerContext, begunAt: number): AttemptPhases {
  let tcpAt = begunAt
  let tlsAt: number | null = null
  return {
    over(part) {
      if (part === 'tcp') tcpAt = schedule.now()
      else tlsAt = schedule.now()
    },
    admitted() {
      latencies.tcp.record(tcpAt - begunAt)
      if (tlsAt !== null) latencies.tls.record(tlsAt - tcpAt)
      latencies.connack.record(schedule.now() - (tlsAt ?? tcpAt))
    },
  }
}
