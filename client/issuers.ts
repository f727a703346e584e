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
    /** Whether certificates of X.509 version 1 may be registered. */
    acceptV1: boolean
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

/** `crl` is null where none was imported. A stale one stays in force. */
export type IssuerCrl = {
  issuerId: string
  stale: boolean
  crl: {
    number: string | null
    thisUpdate: string
    nextUpdate: string | null
    entries: number
    hash: string
    importedAt: string
  } | null
  source: { url: string | null; checkedAt: string | null; error: string | null }
}
/** `receipt` is null where the list changed nothing. */
export type CrlReceipt = IssuerCrl & { receipt: Receipt | null }

export function issuerVerbs(call: Transport['call'], walk: Walk) {
  const issuer = (id: string) => `/v1/issuers/${encodeURIComponent(id)}`
  return {
    pages: () => walk<Issuer>('/v1/issuers', {}),
    show: (id: string) => call<IssuerDetail>('GET', issuer(id)),
    /** Registers a CA of another organization (PEM), or a certificate of one that was renewed with the same name and key. */
    add: (added: { certificate: string; name?: string }) =>
      call<Issuer & Receipt>('POST', '/v1/issuers', added),
    /** Takes off the record a certificate that a renewed one took the place of. */
    retire: (id: string, fingerprint: string) =>
      call<Receipt & { issuerId: string }>('POST', `${issuer(id)}/retire`, { fingerprint }),
    /** Removes a trust anchor that nothing on record names. */
    remove: (id: string) => call<Receipt & { issuerId: string }>('DELETE', issuer(id)),
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
    /** Whether its certificates of X.509 version 1 may be registered. */
    profile: (id: string, profile: { acceptV1: boolean }) =>
      call<{ issuerId: string; acceptV1: boolean }>('PUT', `${issuer(id)}/profile`, profile),
    /** Which CRL of a trust anchor is in force, and whether it is late. */
    crl: (id: string) => call<IssuerCrl>('GET', `${issuer(id)}/crl`),
    /** Puts a complete CRL (DER or PEM) in force. */
    importCrl: (id: string, crl: Buffer) =>
      call<CrlReceipt>('PUT', `${issuer(id)}/crl`, derOf(crl), { 'Content-Type': 'application/pkix-crl' }),
    /** From where newer ones are fetched; null for nowhere. */
    crlSource: (id: string, url: string | null) =>
      call<IssuerCrl>('PUT', `${issuer(id)}/crl/source`, { url }),
    refreshCrl: (id: string) => call<CrlReceipt>('POST', `${issuer(id)}/crl/refresh`),
    arrivals: (id: string) => walk<Arrival>(`${issuer(id)}/arrivals`, {}),
  }
}

/** What is neither DER nor PEM is left to the service to refuse. */
function derOf(crl: Buffer): Buffer {
  if (crl[0] === 0x30) return crl
  const [, base64] =
    /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/.exec(crl.toString('latin1')) ?? []
  return base64 === undefined ? crl : Buffer.from(base64, 'base64')
}
