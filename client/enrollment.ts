// The verbs on enrollment tokens and claims, and what a device asks for that was handed one of them.
import { createTransport, type Transport } from './transport.ts'
import type { IssuedCertificate } from './types.ts'

/** For one device on record, or for a new device in a group. */
export type EnrollmentToken = {
  id: string
  status: 'open' | 'used' | 'revoked' | 'expired' | 'exhausted'
  deviceId: string | null
  group: string | null
  approval: boolean
  /** Whether it does so where the device holds one: the token was made by an enroller. */
  approvalIfHeld: boolean
  attempts: number
  createdBy: string
  createdAt: string
  expiresAt: string
  revokedAt: string | null
  usedAt: string | null
  /** The device that it enrolled. */
  usedBy: string | null
}
/** With the token itself: shown once, kept nowhere. */
export type CreatedEnrollmentToken = EnrollmentToken & {
  token: string
  /** What a client of CMP takes instead of the token, where it was asked for. */
  cmp?: { reference: string; secret: string }
  acme?: AccountBinding
}
/** What a client of ACME binds its account with, where it was asked for. */
export type AccountBinding = { kid: string; hmacKey: string }
export type NewEnrollmentToken = ({ deviceId: string } | { group: string }) & {
  /** A day where it is not given, at most seven. */
  lifetimeSeconds?: number
  /** Whether the certificate waits for an operator. */
  approval?: boolean
  /** Whether to show what a client of CMP takes instead of the token. */
  cmp?: boolean
  /** Whether to show what a client of ACME takes instead. */
  acme?: boolean
}

/** A certificate that may only enroll, for a batch of devices. */
export type Claim = {
  id: string
  name: string
  status: 'open' | 'revoked' | 'expired' | 'unsigned'
  group: string | null
  quota: number
  claimed: number
  allowlisted: boolean
  approval: boolean
  fingerprint: string | null
  createdBy: string
  createdAt: string
  notAfter: string
  revokedAt: string | null
}
/** With leaf, chain without the root, and root in PEM; `certificate` is null for one that was never signed. */
export type ClaimWithPem = Claim & { certificate: string | null; chain: string[]; ca: string | null }
export type NewClaim = {
  name: string
  csr: string
  group?: string
  quota: number
  /** The only devices that may be claimed. */
  allow?: string[]
  days?: number
  approval?: boolean
  /** Whether to show what a client of ACME takes instead of the certificate. */
  acme?: boolean
}

/** Whether devices of a manufacturer may enroll with the identity they were born with. */
export type AnchorEnrollment = {
  issuerId: string
  mode: 'off' | 'pending' | 'active'
  nameTemplate: string
  group: string | null
  devicesMax: number
  devices: number
}

/** An enrollment that waits for an operator: ask again with the same key. */
export type PendingEnrollment = { status: 'pending'; deviceId: string; fingerprint: string }

type Walk = <Item>(path: string, query: Record<string, number | undefined>) => AsyncGenerator<Item[], void>

export function enrollmentVerbs(call: Transport['call'], walk: Walk) {
  const tokens = '/v1/enrollment-tokens'
  const claims = '/v1/claims'
  const anchor = (issuerId: string) => `/v1/issuers/${encodeURIComponent(issuerId)}/enrollment`
  return {
    enrollmentTokens: {
      create: (order: NewEnrollmentToken) => call<CreatedEnrollmentToken>('POST', tokens, order),
      show: (id: string) => call<EnrollmentToken>('GET', `${tokens}/${encodeURIComponent(id)}`),
      pages: (filter: { limit?: number } = {}) => walk<EnrollmentToken>(tokens, filter),
      revoke: (id: string) => call<EnrollmentToken>('POST', `${tokens}/${encodeURIComponent(id)}/revoke`),
    },
    anchorEnrollment: {
      show: (issuerId: string) => call<AnchorEnrollment>('GET', anchor(issuerId)),
      /** What is left out stays as it is. */
      set: (
        issuerId: string,
        settings: Partial<Omit<AnchorEnrollment, 'issuerId' | 'devices'>> & Pick<AnchorEnrollment, 'mode'>,
      ) => call<AnchorEnrollment>('PUT', anchor(issuerId), settings),
    },
    claims: {
      create: (order: NewClaim) => call<ClaimWithPem & { acme?: AccountBinding }>('POST', claims, order),
      show: (id: string) => call<ClaimWithPem>('GET', `${claims}/${encodeURIComponent(id)}`),
      pages: (filter: { limit?: number } = {}) => walk<Claim>(claims, filter),
      revoke: (id: string) => call<ClaimWithPem>('POST', `${claims}/${encodeURIComponent(id)}/revoke`),
    },
  }
}

export type EnrollmentClient = ReturnType<typeof createEnrollmentClient>

/** Enrolls a device with a one-time token, or with a claim certificate as its identity. */
export function createEnrollmentClient(options: {
  api: string | URL
  ca: string | Buffer
  token?: string
  identity?: { certificate: string; key: string }
}) {
  const { call, close } = createTransport(options)
  return {
    /** The same key again gets the same certificate. */
    enroll: (request: { csr: string; deviceId?: string }) =>
      call<IssuedCertificate | PendingEnrollment>('POST', '/v1/enroll', request),
    close,
  }
}
