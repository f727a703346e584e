// Counts the bytes that reach an MQTT parser in this process: a proof that a stranger's never did.
// Use it only where no MQTT client of the test itself parses in the same process.
import { createRequire } from 'node:module'

export type ParserSpy = {
  /** Bytes parsed since the spy was set. */
  bytes(): number
  [Symbol.dispose](): void
}

export function spyOnMqttParser(): ParserSpy {
  const require = createRequire(import.meta.resolve('aedes'))
  const { prototype } = require('mqtt-packet/parser') as { prototype: { parse(bytes: Buffer): number } }
  const original = prototype.parse
  let bytes = 0
  prototype.parse = function parse(chunk) {
    bytes += chunk.length
    return original.call(this, chunk)
  }
  return {
    bytes: () => bytes,
    [Symbol.dispose]() {
      prototype.parse = original
    },
  }
}
