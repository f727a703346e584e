// Waits for the first packet of a connection and checks its fixed header before the engine buffers or parses it.
// Holds at most a few octets itself.
import type { Duplex } from 'node:stream'
import { checkFirstPacket, type FirstPacket } from '../../mqtt/protocol/packet-frames.ts'

export type FirstPacketOutcome = Exclude<FirstPacket, { verdict: 'incomplete' }> | { verdict: 'gone' }

/**
 * Calls back once: the packet's verdict, or `gone` where the stream ends before. The bytes looked at are put back, so the
 * next reader starts with the first one. The caller sets the deadline: it destroys or ends the stream.
 */
export function awaitFirstPacket(
  socket: Duplex,
  settings: { connectBytesMax: number },
  done: (outcome: FirstPacketOutcome) => void,
): void {
  let head: Buffer | null = null
  const onReadable = () => {
    // Chunk by chunk: 'readable' is not emitted again for chunks that are left unread.
    for (;;) {
      const chunk = socket.read() as Buffer | null
      if (chunk === null) return
      head = head === null ? chunk : Buffer.concat([head, chunk])
      const packet = checkFirstPacket(head, settings.connectBytesMax)
      if (packet.verdict !== 'incomplete') return finish(packet)
    }
  }
  const onGone = () => finish({ verdict: 'gone' })
  socket.on('readable', onReadable)
  socket.on('close', onGone)
  socket.on('end', onGone)
  socket.on('error', onGone)

  function finish(outcome: FirstPacketOutcome): void {
    const goesOn = outcome.verdict === 'connect' || outcome.verdict === 'http'
    if (head !== null && goesOn) socket.unshift(head)
    done(outcome)
    socket.off('readable', onReadable)
    socket.off('close', onGone)
    socket.off('end', onGone)
    if (!goesOn) socket.on('error', ignore)
    socket.off('error', onGone)
  }
}

function ignore(): void {}
