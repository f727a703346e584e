// Sessions that are asked for over the bus: by this node of their owners, and by others of this node. With a session comes what its owner
// knows of takeovers, so that two clients of one certificate are noticed whichever nodes they come to, and what the device may still send.
import type { PastTakeovers } from '../../admission/clone-detector.ts'
import { type BusConnection, isUnheard } from '../../bus/connection.ts'
import type { TokensLeft } from '../connection/token-bucket.ts'
import {
  decodeHandedOver,
  decodeHandOver,
  encodeHandedOver,
  encodeHandOver,
  type PeerPlace,
} from './control.ts'
import type { HandOver } from './handover.ts'

const ANSWER_MS = 2_000
/** A node that is not on the bus is not asked again before, for whichever session. */
const ABSENT_MS = 400

export function createHandOverCalls(parts: {
  me: number
  nats: BusConnection
  prefix: string
  pastTakeovers(fingerprint: string): PastTakeovers
  takeInTakeovers(fingerprint: string, past: PastTakeovers): void
  tokensLeft(clientId: string): TokensLeft | null
  takeInTokens(clientId: string, left: TokensLeft): void
  /** The connection ended at another node, for this client came here. */
  takenOver(clientId: string, ended: PeerPlace, by: PeerPlace): void
  onTrouble(error: unknown): void
}) {
  const { me, nats, prefix } = parts
  /** The node that was asked last and is not on the bus, and when that was. */
  let absent = { node: me, at: 0 }

  return {
    /** Gives whether the owner handed it over; false where it does not answer: it is asked again, or declared ended. */
    async ask(owner: number, clientId: string, by: PeerPlace | null): Promise<boolean> {
      if (owner === absent.node && performance.now() - absent.at < ABSENT_MS) return false
      try {
        const asked = encodeHandOver({ clientId, to: me, by })
        const { data } = await nats.request(`${prefix}.n.${owner}`, asked, { timeout: ANSWER_MS })
        const { isDone, ended, past, tokens } = decodeHandedOver(data)
        if (isDone && tokens !== null) parts.takeInTokens(clientId, tokens)
        if (isDone && by !== null) {
          if (past !== null) parts.takeInTakeovers(by.fingerprint, past)
          if (ended !== null) parts.takenOver(clientId, ended, by)
        }
        return isDone
      } catch (error) {
        if (isUnheard(error)) absent = { node: owner, at: performance.now() }
        return false
      }
    },

    answer(release: HandOver['release']): void {
      nats.subscribe(`${prefix}.n.${me}`, {
        callback: (error, message) => {
          const asked = error === null ? decodeHandOver(message.data) : null
          if (asked === null) return
          release(asked.clientId, asked.to).then(({ isDone, ended }) => {
            const past = asked.by === null ? null : parts.pastTakeovers(asked.by.fingerprint)
            const tokens = parts.tokensLeft(asked.clientId)
            message.respond(encodeHandedOver({ isDone, ended, past, tokens }))
          }, parts.onTrouble)
        },
      })
    },
  }
}
