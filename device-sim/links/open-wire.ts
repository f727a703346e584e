// Opens the connection of a lightweight link by what carries it best on this runtime. Does not know MQTT.
import { BunWire, isForBun } from './bun-wire.ts'
import type { LinkOptions } from './session.ts'
import { type DeviceSocket, openSocket, tlsOf } from './socket.ts'
import type { TlsState, Wire, WireEvents } from './wire.ts'

type NodeWire<Of> = DeviceSocket & { of: Of; events: WireEvents<Of> }

/** What is thrown here was wrong before anything was sent. */
export function openWire<Of>(options: LinkOptions, of: Of, events: WireEvents<Of>): Wire {
  if (isForBun(options)) return new BunWire(options, of, events)
  const socket = Object.assign(openSocket(options, onBytes), { of, events })
  return socket
    .once('connect', onConnect)
    .once('secureConnect', onSecure)
    .on('error', onError)
    .on('close', onClose)
}

/** Null where it is not over TLS. */
export function tlsStateOf(wire: Wire): TlsState | null {
  return wire instanceof BunWire ? wire.tls : tlsOf(wire as DeviceSocket)
}

function onConnect(this: NodeWire<unknown>): void {
  this.events.connected(this.of)
}

function onSecure(this: NodeWire<unknown>): void {
  this.events.secured(this.of)
}

function onBytes(socket: DeviceSocket, bytes: Buffer): void {
  const { events, of } = socket as NodeWire<unknown>
  events.received(of, bytes)
}

function onError(this: NodeWire<unknown>, error: Error): void {
  this.events.failed(this.of, error)
}

function onClose(this: NodeWire<unknown>): void {
  this.events.closed(this.of)
}
