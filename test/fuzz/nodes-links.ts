// Connections of the fuzz over several nodes, and what a node shows of what is retained.
import { setTimeout as delay } from 'node:timers/promises'
import mqtt, { type IClientOptions } from 'mqtt'
import type { NodeProcess, Nodes } from '../broker/cluster/nodes.ts'
import type { Identity } from '../harness/authority.ts'
import type { NodesModel } from './nodes-model.ts'

/** How long an answer is awaited while something may be away, and how long what must come where nothing is. */
export const [ANSWER_MS, SETTLE_MS, CONNECT_MS] = [1_500, 30_000, 20_000]

export function createLinks(
  nodes: Nodes,
  running: readonly NodeProcess[],
  identities: ReadonlyMap<string, Identity>,
  /** Starts nodes again that have ended. */
  revive: () => Promise<void>,
) {
  /** The last ones, to be shown beside what is wrong. */
  let errors: string[] = []

  async function open(id: string, node: number, options: IClientOptions, waitMs: number) {
    const { certificate, key } = identities.get(id)!
    const client = mqtt.connect(`mqtts://127.0.0.1:${running[node]!.broker.port}`, {
      ...{ clientId: id, cert: certificate, key, ca: nodes.roll.root.certificate, servername: 'localhost' },
      ...{ reconnectPeriod: 0, connectTimeout: waitMs, ...options },
    })
    client.on('error', ({ message }) => {
      errors = [...errors.slice(-9), `${id} at ${node}, ${new Date().toISOString()}: ${message}`]
    })
    const isPresent = new Promise<boolean | null>(resolve => {
      client.once('connect', connack => resolve(connack.sessionPresent))
      client.once('close', () => resolve(null))
    })
    return { client, isPresent }
  }

  /** Gives what is wrong. */
  async function compareRetained(model: NodesModel): Promise<string[]> {
    const deadline = performance.now() + SETTLE_MS
    for (;;) {
      await revive()
      const shown: string[] = []
      for (const node of [0, 1, 2]) shown.push(JSON.stringify(await retainedAt(node)))
      const isSame = new Set(shown).size === 1 && !shown.includes('null')
      if (isSame) {
        const wrong: string[] = []
        for (const [topic, may] of model.retained()) {
          const is = (JSON.parse(shown[0]!) as Record<string, string>)[topic] ?? ''
          if (!may.has(is)) wrong.push(`${topic} retains “${is}”, not one of ${[...may]}`)
        }
        return wrong
      }
      if (performance.now() > deadline) {
        return [`nodes retain different messages: ${shown.join(' ')}, errors of the looker: ${errors}`]
      }
    }
  }

  async function retainedAt(node: number): Promise<Record<string, string> | null> {
    const { client, isPresent } = await open('looker', node, {}, CONNECT_MS)
    const got: Record<string, string> = {}
    client.on('message', (topic, payload) => {
      got[topic] = String(payload)
    })
    if ((await isPresent) === null) return null
    try {
      // What is retained is sent behind SUBACK, and before what comes after it.
      await client.subscribeAsync('devices/k/#', { qos: 1 })
      await client.subscribeAsync('devices/looker', { qos: 1 })
      await client.publishAsync('devices/looker', '', { qos: 1 })
      const end = performance.now() + ANSWER_MS
      while (!('devices/looker' in got) && performance.now() < end) await delay(5)
      await client.endAsync()
    } catch {
      return null // its node has ended
    }
    delete got['devices/looker']
    return Object.fromEntries(Object.entries(got).toSorted())
  }

  return { open, compareRetained }
}

/** Whether it came to an answer in time. */
export async function answered(work: Promise<unknown>): Promise<boolean> {
  const late = delay(ANSWER_MS, 'late', { ref: false })
  return (
    (await Promise.race([
      work.then(
        () => 'done',
        () => 'late',
      ),
      late,
    ])) === 'done'
  )
}

/** mulberry32: the same numbers for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
