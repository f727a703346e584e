// The faults of simulated devices and the expected result of each. A table alone.
import type { Expectation } from './results/summary.ts'

/**
 * `identity`: what it proves itself with is wrong; it connects like any other.
 * `wire`: what it does on the connection is wrong; it is a listed device otherwise.
 */
export type Fault = { of: 'identity' | 'wire'; expect: Expectation; what: string }

export const faults = {
  'no-certificate': { of: 'identity', expect: 'refused', what: 'no certificate at all' },
  unlisted: { of: 'identity', expect: 'refused', what: 'certificate of our CA that is not on the roll' },
  'foreign-ca': { of: 'identity', expect: 'refused', what: 'foreign CA of the same name, same subject' },
  'self-signed': { of: 'identity', expect: 'refused', what: 'self-signed, subject of a listed device' },
  expired: { of: 'identity', expect: 'refused', what: 'listed certificate past its end' },
  revoked: { of: 'identity', expect: 'refused', what: 'revoked certificate' },
  suspended: { of: 'identity', expect: 'refused', what: 'valid certificate of a suspended device' },
  'stolen-client-id': { of: 'identity', expect: 'refused', what: 'client ID of another device' },
  'cloned-identity': { of: 'identity', expect: 'either', what: 'one key and certificate in many devices' },
  'clock-skew': { of: 'identity', expect: 'either', what: 'a clock that is far off' },
  'lost-answer': { of: 'identity', expect: 'admitted', what: 'the answer to its enrollment was lost' },
  'half-open': { of: 'wire', expect: 'refused', what: 'opens TCP, begins TLS and falls silent' },
  'slow-writer': { of: 'wire', expect: 'refused', what: 'sends its CONNECT a byte at a time' },
  'slow-reader': { of: 'wire', expect: 'either', what: 'subscribes and then reads nothing' },
  'dropped-tcp': { of: 'wire', expect: 'admitted', what: 'is gone without a word every now and then' },
  malformed: { of: 'wire', expect: 'refused', what: 'sends what is no MQTT packet' },
  oversize: { of: 'wire', expect: 'refused', what: 'announces a packet of 256 MB' },
  'handshake-flood': { of: 'wire', expect: 'either', what: 'handshake after handshake and no CONNECT' },
} as const satisfies Record<string, Fault>

export type FaultKind = keyof typeof faults

export const faultKinds = Object.keys(faults) as FaultKind[]

/** Faults that only the operator of the registry can prepare. */
export const preparedFaults: readonly FaultKind[] = ['unlisted', 'expired', 'revoked', 'suspended']
