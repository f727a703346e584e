// What a client sends, as the handlers get it: read, checked, and the same for every version.
import type { QoS } from '../message.ts'
import type { Properties } from './properties.ts'

/** MQTT 3.1, 3.1.1, 5. */
export type Version = 3 | 4 | 5

export type RequestedWill = {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  properties: Properties
}

export type Connect = {
  cmd: 'connect'
  /** As it was sent: it need not be a version of ours, and then nothing else was read. */
  version: number
  clientId: string
  /** Clean Session, or Clean Start of version 5. */
  clean: boolean
  keepAliveSeconds: number
  username: string | undefined
  /** A password of at least one octet. */
  hasPassword: boolean
  will: RequestedWill | null
  properties: Properties
}

export type Publish = {
  cmd: 'publish'
  /** Empty where version 5 sent a topic alias alone. */
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  dup: boolean
  /** 0 where QoS is 0. */
  messageId: number
  properties: Properties
}

export type Acknowledgement = {
  cmd: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'
  messageId: number
  reasonCode: number
}

/** `noLocal`, `retainAsPublished` and `retainHandling` are of version 5 (§3.8.3.1); before it false, false, 0. */
export type RequestedSubscription = {
  filter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  retainHandling: 0 | 1 | 2
}

export type Subscribe = {
  cmd: 'subscribe'
  messageId: number
  subscriptions: RequestedSubscription[]
  /** Of version 5; null for none. */
  identifier: number | null
}

export type Unsubscribe = { cmd: 'unsubscribe'; messageId: number; filters: string[] }

export type Disconnect = { cmd: 'disconnect'; reasonCode: number; properties: Properties }

export type Incoming =
  | Connect
  | Publish
  | Acknowledgement
  | Subscribe
  | Unsubscribe
  | Disconnect
  | { cmd: 'pingreq' }
  | { cmd: 'auth' }
