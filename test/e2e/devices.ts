// Devices for a running system: enrolled over its API, with the files a client needs, and a bare way to knock that
// reports just what a device would see.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { connectPacket, firstBytes, type Seen } from '../harness/broker.ts'
import type { Api } from './api.ts'
import type { System } from './system.ts'

export type Credentials = { certificate: string; key: string }
export type Device = Credentials & {
  id: string
  fingerprint: string
  /** Trusts broker and API. */
  ca: string
  files: { certificate: string; key: string; ca: string }
}

export type NewDevice = { groups?: string[]; days?: number }

/** Adds and enrolls a device with a P-256 key; its files go into a directory of its own below `directory`. */
export async function enroll(
  api: Api,
  directory: string,
  id: string,
  { groups, days }: NewDevice = {},
): Promise<Device> {
  const added = await api.call('POST', '/v1/devices', { id, ...(groups ? { groups } : {}) })
  if (added.status !== 201) throw new Error(`adding ${id}: ${JSON.stringify(added.body)}`)
  const key = await makeKey('p256')
  const csr = await makeRequest(id, key, 'p256')
  const path = `/v1/devices/${id}/certificates`
  const issued = await api.call('POST', path, { csr, ...(days ? { days } : {}) })
  if (issued.status !== 201) throw new Error(`enrolling ${id}: ${JSON.stringify(issued.body)}`)
  const { fingerprint, certificate: leaf, chain, ca } = issued.body
  const certificate = [leaf, ...chain].join('')
  const place = join(directory, id)
  mkdirSync(place, { recursive: true })
  const files = {
    certificate: join(place, 'device.crt'),
    key: join(place, 'device.key'),
    ca: join(place, 'ca.crt'),
  }
  writeFileSync(files.certificate, certificate)
  writeFileSync(files.key, key, { mode: 0o600 })
  writeFileSync(files.ca, ca)
  return { id, fingerprint, certificate, key, ca, files }
}

/** A finished handshake; rejects where there was none. The clock of the server may not be ours, so it is not judged. */
export function openTls(
  port: number,
  credentials: Credentials | null,
  localAddress = '127.0.0.1',
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      localAddress,
      port,
      rejectUnauthorized: false,
      ...(credentials ? { cert: credentials.certificate, key: credentials.key } : {}),
    }
    const socket = connect(options)
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
  })
}

/** Connects once as this client and reports what was seen; a session that was admitted ends again. */
export async function knock(
  port: number,
  clientId: string,
  credentials: Credentials | null,
  localAddress?: string,
): Promise<Seen> {
  const socket = await openTls(port, credentials, localAddress).catch(() => null)
  if (socket === null) return 'cut'
  socket.write(connectPacket({ clientId }))
  const answer = await firstBytes(socket)
  socket.destroy()
  return answer === null ? 'cut' : `connack ${answer[3] ?? -1}`
}

export type Session = {
  /** Whether the broker still keeps it: it answers a ping. */
  lives(): Promise<boolean>
  /** Resolves once the broker has closed it. */
  closed: Promise<void>
  end(): void
}

/** A device that is connected and stays; rejects where it was not admitted. */
export async function stay(port: number, clientId: string, credentials: Credentials): Promise<Session> {
  const socket = await openTls(port, credentials)
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  socket.write(connectPacket({ clientId, keepalive: 0 }))
  const answer = await firstBytes(socket)
  if (answer?.[3] !== 0) {
    socket.destroy()
    throw new Error(`not admitted: ${answer?.toString('hex') ?? 'cut'}`)
  }
  socket.resume()
  return {
    closed,
    lives() {
      if (socket.destroyed) return Promise.resolve(false)
      socket.write(Buffer.from([0xc0, 0]))
      const pong = new Promise<boolean>(resolve => socket.once('data', () => resolve(true)))
      return Promise.race([pong, closed.then(() => false)])
    },
    end: () => socket.destroy(),
  }
}

/** Enrolls several devices, a few at a time; gives them in the order asked for. */
export async function enrollMany(
  system: System,
  directory: string,
  ids: readonly string[],
): Promise<Device[]> {
  const devices: Device[] = []
  const waiting = [...ids]
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let id = waiting.shift(); id !== undefined; id = waiting.shift())
        devices.push(await enroll(system.api, directory, id))
    }),
  )
  return ids.map(id => devices.find(device => device.id === id)!)
}
