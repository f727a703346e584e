// A device's link as MQTT.js carries it: one attempt over mutual TLS and MQTT 3.1.1, then a session. The only file
// that knows MQTT.js. Refuses to know whether what was seen is good or bad news.
import type { TLSSocket } from 'node:tls'
import { type IClientOptions, MqttClient } from 'mqtt'
import { codeOf, type Seen, type Stage, seenAtClose } from './seen.ts'
import type { Attempt, LinkOptions, Session } from './session.ts'
import { openSocket, serverFaultAt } from './socket.ts'

const silent = (): void => {}

/** Starts one attempt. Never rejects: whatever happens is something seen. */
export function openLink(options: LinkOptions): Attempt {
  let stage: Stage = 'tcp'
  let settle: (result: { seen: Seen; session: Session | null }) => void = silent
  const settled = new Promise<{ seen: Seen; session: Session | null }>(resolve => {
    settle = resolve
  })
  let lastError: Error | null = null
  let finished = false
  let client: MqttClient | null = null
  const timer = setTimeout(() => finish({ kind: 'timeout', stage }), options.timeoutMs)

  function finish(seen: Seen): void {
    if (finished) return
    finished = true
    clearTimeout(timer)
    if (seen.kind === 'admitted' && client) {
      settle({ seen, session: sessionOver(client) })
      return
    }
    settle({ seen, session: null })
    client?.end(true)
  }

  function watchedSocket(): TLSSocket {
    const socket = openSocket(options)
    socket.once('connect', () => {
      stage = 'tls'
    })
    socket.once('secureConnect', () => {
      stage = 'mqtt'
      const fault = options.clockSkewMs ? serverFaultAt(socket, options.clockSkewMs) : null
      if (fault) finish({ kind: 'server_not_trusted', code: fault })
    })
    socket.on('error', (error: Error) => {
      lastError = error
    })
    socket.once('close', () => finish(seenAtClose(stage, lastError, Boolean(socket.authorizationError))))
    return socket
  }

  const mqttOptions: IClientOptions = {
    clientId: options.clientId,
    protocolVersion: 4,
    clean: options.clean ?? true,
    keepalive: options.keepAliveSeconds ?? 60,
    // Deadlines, reconnects and subscriptions are the device's business: nothing may happen behind its back.
    reconnectPeriod: 0,
    connectTimeout: 2_147_483_647,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: 'native',
    log: silent,
  }
  try {
    client = new MqttClient(watchedSocket, mqttOptions)
  } catch (error) {
    // A key that does not fit its certificate fails here, before anything is sent.
    finish({ kind: 'failed', code: codeOf(error as Error) })
    return { settled, cancel: silent }
  }
  client.on('error', (error: Error & { code?: number | string }) => {
    if (typeof error.code === 'number' && stage === 'mqtt') finish({ kind: 'connack', code: error.code })
    else if (lastError === null) lastError = error
  })
  client.once('connect', () => finish({ kind: 'admitted' }))
  return { settled, cancel: () => finish({ kind: 'cancelled' }) }
}

function sessionOver(client: MqttClient): Session {
  let closeCause: string | null = null
  let lastCode = ''
  let announceClose: (cause: string) => void = silent
  client.on('error', (error: Error) => {
    lastCode = codeOf(error).toLowerCase()
  })
  client.once('close', () => {
    closeCause = lastCode === '' || lastCode === 'econnreset' ? 'closed_by_broker' : lastCode
    announceClose(closeCause)
  })
  const socket = client.stream as unknown as TLSSocket
  return {
    resumed: socket.isSessionReused(),
    // Each attempt has a store of its own: nothing is sent again.
    present: false,
    publish({ topic, payload, qos, retain = false }, onAck) {
      client.publish(topic, payload, { qos, retain }, error => {
        if (!error) onAck()
      })
    },
    subscribe(filter, qos, onResult) {
      client.subscribe(filter, { qos }, (error, granted, suback) => {
        // Without a SUBACK the session ended first: nobody refused anything.
        if (suback) onResult(!error && granted?.[0]?.qos !== 128)
      })
    },
    onMessage(handle) {
      client.on('message', (topic, payload, { qos, dup }) => handle({ topic, payload, qos, dup }))
    },
    onClose(handle) {
      announceClose = handle
      if (closeCause !== null) handle(closeCause)
    },
    bufferedBytes: () => socket.writableLength,
    cut: () => void socket.destroy(),
    writeRaw: bytes => void socket.write(bytes),
    stopReading: () => void socket.pause(),
    end() {
      return new Promise(resolve => {
        if (closeCause !== null) return resolve()
        const force = setTimeout(() => client.end(true), 1_000)
        client.once('close', () => {
          clearTimeout(force)
          resolve()
        })
        client.end(Object.keys(client.outgoing).length > 0)
      })
    },
  }
}
