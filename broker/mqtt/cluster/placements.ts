// Messages for shared subscriptions that no member took: the members have gone to another node, of which this one hears soon, or for good.
// They wait in the order of their topic, for a bounded time and within a bound in bytes. While this node hears of no other one, the time stands.
import { type Message, weigh } from '../message.ts'

/** How often it is looked for a member, and after how many looks no more. */
const [LOOK_MS, LOOKS_MAX] = [100, 150]
/** Of all groups together. What does not fit is forgotten at once. */
export const PLACEMENT_BYTES_MAX = 64 * 1_048_576

type Waiting = { asked: string; message: Message; bytes: number; lastLook: number }

const keyOf = (asked: string, topic: string) => `${asked}\0${topic}`

/**
 * `tryPlace` gives whether somebody took the message and does not throw; `hears` whether this node hears now which groups other nodes have
 * members of; `onForgotten` is told of each message that is given up.
 */
export function createPlacements(parts: {
  tryPlace(asked: string, message: Message): boolean
  hears(): boolean
  onForgotten(asked: string): void
}) {
  const lines = new Map<string, Waiting[]>()
  let bytesWaiting = 0
  let looks = 0
  let timer: NodeJS.Timeout | null = null

  function look(): void {
    if (parts.hears()) looks += 1
    for (const [key, waiting] of lines) {
      let gone = 0
      for (const { asked, message, bytes, lastLook } of waiting) {
        const isPlaced = parts.tryPlace(asked, message)
        if (!isPlaced && looks < lastLook) break
        if (!isPlaced) parts.onForgotten(asked)
        bytesWaiting -= bytes
        gone += 1
      }
      if (gone === waiting.length) lines.delete(key)
      else waiting.splice(0, gone)
    }
    if (lines.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }

  return {
    add(asked: string, message: Message): void {
      const bytes = weigh(message)
      if (bytesWaiting + bytes > PLACEMENT_BYTES_MAX) {
        parts.onForgotten(asked)
        return
      }
      bytesWaiting += bytes
      const entry = { asked, message, bytes, lastLook: looks + LOOKS_MAX }
      const key = keyOf(asked, message.topic)
      const waiting = lines.get(key)
      if (waiting === undefined) lines.set(key, [entry])
      else waiting.push(entry)
      timer ??= setInterval(look, LOOK_MS).unref()
    },
    /** Whether a message of this group and topic waits: one that comes now is behind it. */
    isWaiting: (asked: string, topic: string): boolean => lines.has(keyOf(asked, topic)),
  }
}
