// A device's link as MQTT.js carries it: one attempt over mutual TLS and MQTT 3.1, 3.1.1 or 5, then a session. The only file
// that knows MQTT.js. Does not know which result was expected.
import { type IClientOptions, type IClientPublishOptions, MqttClient } from 'mqtt'
import { type ConnectResult, codeOf, hex, resultAtClose, type Stage } from './connect-result.ts'
import { type MessageProperties, noProperties } from './properties.ts'
import { type Attempt, type LinkOptions, noLimits, type Protocol, type Session } from './session.ts'
import { type DeviceSocket, distrusts, openSocket, serverCertificateProblem, tlsOf } from './socket.ts'

const silent = (): void => {}

/** Starts one attempt. Never rejects: every end is a result. */
export function openLink(options: LinkOptions): Attempt {
  let stage: Stage = 'tcp'
  let settle: (result: { result: ConnectResult; session: Session | null }) => void = silent
  const settled = new Promise<{ result: ConnectResult; session: Session | null }>(resolve => {
    settle = resolve
  })
  let lastError: Error | null = null
  let finished = false
  let client: MqttClient | null = null
  const timer = setTimeout(() => finish({ kind: 'timeout', stage }), options.timeoutMs)

  function finish(result: ConnectResult): void {
    if (finished) return
    finished = true
    clearTimeout(timer)
    if (result.kind === 'admitted' && client) {
      settle({ result, session: sessionOver(client, options.protocol ?? 4) })
      return
    }
    settle({ result, session: null })
    client?.end(true)
  }

  function watchedSocket(): DeviceSocket {
    const socket = openSocket(options)
    socket.once('connect', () => {
      stage = 'tls'
      options.onPart?.('tcp')
    })
    socket.once('secureConnect', () => {
      stage = 'mqtt'
      if (tlsOf(socket)) options.onPart?.('tls')
      const fault = serverCertificateProblem(tlsOf(socket), options)
      if (fault) finish({ kind: 'server_not_trusted', code: fault })
    })
    socket.on('error', (error: Error) => {
      lastError = error
    })
    socket.once('close', () => finish(resultAtClose(stage, lastError, distrusts(tlsOf(socket), options))))
    return socket
  }

  const { protocol = 4, sessionExpirySeconds = 0, topicAliasMax = 0 } = options
  const mqttOptions: IClientOptions = {
    clientId: options.clientId,
    protocolVersion: protocol,
    ...(protocol === 3 ? { protocolId: 'MQIsdp' } : {}),
    ...(protocol === 5
      ? {
          properties: {
            ...(sessionExpirySeconds > 0 ? { sessionExpiryInterval: sessionExpirySeconds } : {}),
            ...(topicAliasMax > 0 ? { topicAliasMaximum: topicAliasMax } : {}),
          },
          autoUseTopicAlias: topicAliasMax > 0,
          autoAssignTopicAlias: topicAliasMax > 0,
        }
      : {}),
    ...(typeof options.username === 'string' ? { username: options.username } : {}),
    ...(typeof options.password === 'string' ? { password: options.password } : {}),
    clean: options.clean ?? true,
    ...(options.will ? { will: options.will } : {}),
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

function sessionOver(client: MqttClient, protocol: Protocol): Session {
  let closeCause: string | null = null
  let lastCode = ''
  let goodbye: string | null = null
  /** Codes other than 0 of PUBACK and PUBREC: MQTT.js hands on the packet that was sent, not the one that came. */
  const received = new Map<number, number>()
  if (protocol === 5) {
    client.on('disconnect', ({ reasonCode = 0 }) => {
      goodbye = `disconnect_${hex(reasonCode)}`
    })
    client.on('packetreceive', packet => {
      const { cmd, messageId = 0 } = packet
      if ((cmd === 'puback' || cmd === 'pubrec') && packet.reasonCode)
        received.set(messageId, packet.reasonCode)
    })
  }
  let announceClose: (cause: string) => void = silent
  client.on('error', (error: Error) => {
    lastCode = codeOf(error).toLowerCase()
  })
  client.once('close', () => {
    closeCause = goodbye ?? (lastCode === '' || lastCode === 'econnreset' ? 'closed_by_broker' : lastCode)
    announceClose(closeCause)
  })
  const socket = client.stream as unknown as DeviceSocket
  return {
    resumed: tlsOf(socket)?.isSessionReused() ?? false,
    // Each attempt has a store of its own: nothing is sent again.
    present: false,
    // MQTT.js heeds none of them.
    limits: noLimits,
    keepsOrder: false,
    publish({ topic, payload, qos, retain = false, properties = null }, onAck) {
      const options = { qos, retain, ...(protocol === 5 ? withProperties(properties) : {}) }
      client.publish(topic, payload, options, (error, packet) => {
        const refused = error && 'code' in error && typeof error.code === 'number' ? error.code : 0
        if (error && refused < 0x80) return
        const messageId = packet?.messageId ?? 0
        const code = received.get(messageId) ?? refused
        received.delete(messageId)
        onAck(code)
      })
    },
    subscribe({ filter, qos, noLocal = false, retainAsPublished = false, retainHandling = 0 }, onResult) {
      const v5 = protocol === 5 ? { nl: noLocal, rap: retainAsPublished, rh: retainHandling } : {}
      client.subscribe(filter, { qos, ...v5 }, (_error, _granted, suback) => {
        // Without a SUBACK the session ended first: nothing was refused.
        const code = suback?.granted[0]
        if (code !== undefined) onResult(Number(code))
      })
    },
    onMessage(handle) {
      client.on('message', (topic, payload, { qos, dup, properties }) =>
        handle({
          topic,
          payload,
          qos,
          dup,
          properties: protocol === 5 ? receivedProperties(properties) : null,
        }),
      )
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

type Own = NonNullable<IClientPublishOptions['properties']>

function withProperties(of: MessageProperties | null): IClientPublishOptions {
  if (of === null || of === noProperties) return {}
  const { utf8, expirySeconds, contentType, responseTopic, correlation, user } = of
  const properties: Own = {
    ...(utf8 ? { payloadFormatIndicator: true } : {}),
    ...(expirySeconds === null ? {} : { messageExpiryInterval: expirySeconds }),
    ...(contentType === null ? {} : { contentType }),
    ...(responseTopic === null ? {} : { responseTopic }),
    ...(correlation === null ? {} : { correlationData: correlation }),
  }
  if (user.length > 0) {
    const byName: Record<string, string[]> = Object.create(null)
    for (const [name, value] of user) {
      byName[name] ??= []
      byName[name].push(value)
    }
    properties.userProperties = byName
  }
  return { properties }
}

function receivedProperties(own: Own | undefined): MessageProperties {
  if (!own) return noProperties
  const user = Object.entries(own.userProperties ?? {}).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map(value => [name, value] as const),
  )
  return {
    utf8: own.payloadFormatIndicator === true,
    expirySeconds: own.messageExpiryInterval ?? null,
    contentType: own.contentType ?? null,
    responseTopic: own.responseTopic ?? null,
    correlation: own.correlationData ?? null,
    user,
  }
}
