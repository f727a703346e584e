// What mqtt-packet makes of the bytes of one packet: the peer that our own decoders are held against.
import mqttPacket from 'mqtt-packet'

/** The first packet in the bytes; null where they are refused or hold none. Without a version, that of the CONNECT in them. */
export function mqttPacketReads<Packet extends mqttPacket.Packet>(
  bytes: Buffer,
  protocolVersion?: 3 | 4 | 5,
): Packet | null {
  const parser = mqttPacket.parser(protocolVersion === undefined ? undefined : { protocolVersion })
  const found: mqttPacket.Packet[] = []
  let failed = false
  parser.on('packet', packet => void found.push(packet))
  parser.on('error', () => {
    failed = true
  })
  try {
    parser.parse(bytes)
  } catch {
    failed = true
  }
  return failed ? null : ((found[0] as Packet | undefined) ?? null)
}
