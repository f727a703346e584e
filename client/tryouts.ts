// What a device may, tried out through the broker.
import type { Transport } from './transport.ts'

/** `payload` as text, or `payloadBase64`; 32 KiB at most. `qos` is 1 where it is left out. */
export type TryPublish = { topic: string; qos?: number; payload?: string; payloadBase64?: string }
export type TriedPublish = { deviceId: string; topic: string; receivers: number }
/** `payload` is null where it is no UTF-8; `payloadBase64` has its first 4 KiB. */
export type TriedMessage = {
  topic: string
  qos: number
  /** It was there before. */
  retained: boolean
  bytes: number
  payload: string | null
  payloadBase64: string
}
export type TriedSubscribe = {
  deviceId: string
  filter: string
  messages: TriedMessage[]
  ended: 'time' | 'messages' | 'right_ended' | 'broker_ended'
}

export function tryoutVerbs(call: Transport['call']) {
  const path = (id: string, what: string) => `/v1/devices/${encodeURIComponent(id)}/try/${what}`
  return {
    publish: (id: string, tried: TryPublish) => call<TriedPublish>('POST', path(id, 'publish'), tried),
    /** Answers after so many seconds (60 at most) or messages (100 at most): the client must wait for as long. */
    subscribe: (id: string, tried: { filter: string; seconds?: number; messages?: number }) =>
      call<TriedSubscribe>('POST', path(id, 'subscribe'), tried),
  }
}
