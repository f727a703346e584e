// The verbs on issuers: our own CAs and trust anchors of others.
import type { Transport } from './transport.ts'
import type { Issuer, IssuerReceipt, Receipt } from './types.ts'

type Walk = <Item>(path: string, query: Record<string, number | undefined>) => AsyncGenerator<Item[], void>

export type RegistrationMode = 'off' | 'pending' | 'active'
/** How devices that a CA signed may register themselves. */
export type AutoRegistration = {
  mode: RegistrationMode
  nameTemplate: string
  perMinuteMax: number
  devicesMax: number
}
/** `anchor` is null for a CA of the service itself. */
export type IssuerDetail = Issuer & {
  /** PEM. */
  certificate: string
  /** Whether the CRL of the CA above it lists it. */
  revoked: boolean
  anchor: {
    provenAt: string | null
    challengeExpiresAt: string | null
    autoRegistration: AutoRegistration & { devicesRegistered: number }
  } | null
}
export type IssuerChallenge = { issuerId: string; nonce: string; expiresAt: string }
export type IssuerProof = { issuerId: string; provenAt: string; verificationCertificate: string }
/** A stranger that wants to register itself: waiting, or refused with the reason. */
export type Arrival = {
  fingerprint: string
  issuerId: string
  address: string
  at: string
  decidedAt: string | null
  reason: string | null
  detail: string | null
}

export function issuerVerbs(call: Transport['call'], walk: Walk) {
  const issuer = (id: string) => `/v1/issuers/${encodeURIComponent(id)}`
  return {
    pages: () => walk<Issuer>('/v1/issuers', {}),
    show: (id: string) => call<IssuerDetail>('GET', issuer(id)),
    /** Registers a CA of somebody else (PEM). */
    add: (added: { certificate: string; name?: string }) =>
      call<Issuer & Receipt>('POST', '/v1/issuers', added),
    disable: (id: string) => call<IssuerReceipt>('POST', `${issuer(id)}/disable`),
    enable: (id: string) => call<IssuerReceipt>('POST', `${issuer(id)}/enable`),
    /** Gives the nonce that the CA is to sign. */
    challenge: (id: string) => call<IssuerChallenge>('POST', `${issuer(id)}/challenge`),
    /** Hands in what it signed (PEM). */
    prove: (id: string, certificate: string) =>
      call<IssuerProof>('POST', `${issuer(id)}/proof`, { certificate }),
    /** What is left out stays as it is. */
    register: (id: string, settings: Partial<AutoRegistration> & { mode: RegistrationMode }) =>
      call<AutoRegistration & Receipt & { issuerId: string }>('PUT', `${issuer(id)}/registration`, settings),
    arrivals: (id: string) => walk<Arrival>(`${issuer(id)}/arrivals`, {}),
  }
}
