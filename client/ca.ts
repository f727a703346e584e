// The verbs on the service's own CA.
import type { Transport } from './transport.ts'
import type { IssuerReceipt } from './types.ts'

export type CaRecord = {
  statusUrl: string
  keysEncrypted: boolean
  root: { id: string; notAfter: string; keyHere: boolean }
  /** The current one first. */
  issuing: {
    id: string
    name: string
    enabled: boolean
    current: boolean
    /** Whether the service that answers holds its key. */
    keyHere: boolean
    /** How many devices rely on it. */
    devices: number
    notAfter: string
    since: string | null
    allToldAt: string | null
    crl: { number: number; entries: number; nextUpdate: string } | null
  }[]
}

export function caVerbs(call: Transport['call']) {
  return {
    show: () => call<CaRecord>('GET', '/v1/ca'),
    /** PEM of a request for the next issuing CA, for a root that is offline. */
    request: () => call<{ csr: string; name: string }>('POST', '/v1/ca/request'),
    /** `certificate` is what an offline root signed for the request. */
    rotate: (order: { certificate?: string; spreadSeconds?: number } = {}) =>
      call<CaRecord>('POST', '/v1/ca/rotate', order),
    retire: (id: string, order: { force?: boolean } = {}) =>
      call<IssuerReceipt>('POST', `/v1/ca/issuers/${encodeURIComponent(id)}/retire`, order),
  }
}
