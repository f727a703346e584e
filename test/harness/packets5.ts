// Packets of MQTT 5 as tests send them, each with what most tests want of it.

export const publish5 = (topic: string, messageId: number, more: object = {}) => ({
  cmd: 'publish',
  topic,
  qos: messageId === 0 ? 0 : 1,
  payload: 'm',
  messageId,
  retain: false,
  dup: false,
  ...more,
})

export const subscribe5 = (
  messageId: number,
  filter: string,
  more: object = {},
  properties: object = {},
) => ({
  cmd: 'subscribe',
  messageId,
  subscriptions: [{ topic: filter, qos: 1, nl: false, rap: false, rh: 0, ...more }],
  properties,
})

/** A session that outlives its connection by so many seconds. */
export const kept5 = (seconds: number, more: object = {}) => ({
  clean: false,
  properties: { sessionExpiryInterval: seconds },
  ...more,
})

/** PUBLISH of QoS 1 with these property bytes, which mqtt-packet would sort. */
export function publishOf(topic: string, messageId: number, properties: Buffer, retain = false): Buffer {
  const name = Buffer.from(topic)
  const body = Buffer.concat([
    Buffer.from([name.length >> 8, name.length & 0xff]),
    name,
    Buffer.from([messageId >> 8, messageId & 0xff, properties.length]),
    properties,
    Buffer.from('m'),
  ])
  return Buffer.concat([Buffer.from([retain ? 0x33 : 0x32, body.length]), body])
}
