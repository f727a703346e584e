// A device's link that costs little memory: one attempt over mutual TLS and MQTT 3.1, 3.1.1 or 5, then a session. For fleets of thousands.
// Refuses to reconnect.
import { coarse, type Schedule } from '../schedule.ts'
import { connectPacket } from './connect-packets.ts'
import { type ConnectResult, codeOf, resultAtClose } from './connect-result.ts'
import { abort, type LightweightLink, onConnected, onPacket, sessionMethods } from './lightweight-session.ts'
import { beginV5, readConnack } from './lightweight-v5.ts'
import { openWire, tlsStateOf } from './open-wire.ts'
import { packetTypes, readPackets } from './packets.ts'
import { type Attempt, type LinkOptions, noLimits, nothingUnfinished, type Session } from './session.ts'
import { distrusts, serverCertificateProblem } from './socket.ts'
import type { WireEvents } from './wire.ts'

const silent = (): void => {}

/** Starts one attempt. Never rejects: every end is a result. Keep-alive runs on the given schedule. */
export function openLightweightLink(options: LinkOptions, schedule: Schedule): Attempt {
  // V8 would keep an object that Object.assign fills as a hash table: 2 KiB larger, and slower for every message.
  const link: LightweightLink = Object.setPrototypeOf(
    {
      socket: null,
      schedule,
      stage: 'tcp',
      settle: null,
      options,
      overdue: null,
      keepAliveMs: (options.keepAliveSeconds ?? 60) * 1000,
      ping: null,
      left: null,
      unfinished: options.unfinished ?? nothingUnfinished(),
      subscribing: null,
      v5: options.protocol === 5 ? beginV5(options.topicAliasMax) : null,
      limits: noLimits,
      lastWriteAt: 0,
      unansweredPing: false,
      lastError: null,
      closeReason: null,
      closeCause: null,
      messageHandler: null,
      earlyMessages: null,
      closeHandler: null,
      ended: null,
      resumed: false,
      present: false,
    },
    sessionMethods,
  )
  const settled = new Promise<{ result: ConnectResult; session: Session | null }>(resolve => {
    link.settle = resolve
  })
  link.overdue = schedule.at(coarse(schedule.now() + options.timeoutMs), () =>
    finish(link, { kind: 'timeout', stage: link.stage }, null),
  )
  try {
    link.socket = openWire(options, link, events)
  } catch (error) {
    finish(link, { kind: 'failed', code: codeOf(error as Error) }, null)
    return { settled, cancel: silent }
  }
  return { settled, cancel: () => finish(link, { kind: 'cancelled' }, null) }
}

function finish(link: LightweightLink, result: ConnectResult, session: Session | null): void {
  const { settle, overdue } = link
  if (!settle) return
  overdue?.cancel()
  link.settle = link.options = link.overdue = null
  settle({ result, session })
  if (!session) link.socket?.destroy()
}

const events: WireEvents<LightweightLink> = {
  connected(link) {
    link.stage = 'tls'
    link.options?.onPart?.('tcp')
  },
  secured: onSecure,
  received: onBytes,
  failed(link, error) {
    link.lastError = error
  },
  closed: onClose,
}

function onSecure(link: LightweightLink): void {
  const { options } = link
  link.stage = 'mqtt'
  if (!options) return
  const tls = tlsStateOf(link.socket)
  if (tls) options.onPart?.('tls')
  const fault = serverCertificateProblem(tls, options)
  if (fault) finish(link, { kind: 'server_not_trusted', code: fault }, null)
  else link.socket.write(connectPacket(options))
}

function onClose(link: LightweightLink): void {
  const { lastError, options, stage } = link
  if (options)
    finish(link, resultAtClose(stage, lastError, distrusts(tlsStateOf(link.socket), options)), null)
  link.ping?.cancel()
  link.subscribing = null
  const code = lastError ? codeOf(lastError).toLowerCase() : ''
  link.closeCause = link.closeReason ?? (code === '' || code === 'econnreset' ? 'closed_by_broker' : code)
  link.closeHandler?.(link.closeCause)
  link.ended?.()
}

function onBytes(link: LightweightLink, bytes: Buffer): void {
  const left = readPackets(link.left, bytes, link, take)
  if (left === 'malformed') abort(link, 'malformed_packet_from_broker')
  else link.left = left
}

function take(link: LightweightLink, first: number, body: Buffer): void {
  if (link.settle) onFirstPacket(link, first, body)
  else onPacket(link, first, body)
}

function onFirstPacket(link: LightweightLink, first: number, body: Buffer): void {
  const [acknowledge = 0, code = 0] = body
  if (first >> 4 !== packetTypes.connack) {
    finish(link, { kind: 'failed', code: `unexpected_${first >> 4}` }, null)
    return
  }
  if (code !== 0) {
    finish(link, { kind: 'connack', code }, null)
    return
  }
  if (link.v5) {
    const said = readConnack(body, link.keepAliveMs)
    if (!said) {
      finish(link, { kind: 'failed', code: 'malformed_connack' }, null)
      return
    }
    // The device uses no more aliases than it takes.
    link.v5.aliasMax = Math.min(said.aliasMax, link.v5.receivedAliasMax)
    link.limits = said.limits
    link.keepAliveMs = said.keepAliveMs
  }
  onConnected(link, (acknowledge & 1) === 1)
  finish(link, { kind: 'admitted' }, link)
}
