// The documents of the HTTP API, as its OpenAPI description names them. Times are RFC 3339 UTC with milliseconds.

export type DeviceState = 'registered' | 'active' | 'suspended' | 'decommissioned'

export type Device = {
  id: string
  state: DeviceState
  attributes: Record<string, string>
  groups: string[]
  /** As brokers noted it within the last seconds. */
  connected: boolean
  /** Null where it never connected. */
  lastSeen: LastSeen | null
  /** The newest that admits, or else the newest; null where it has none. */
  certificate: { status: string; notAfter: string } | null
  createdAt: string
  updatedAt: string
  /** The ETag without its quotes. */
  version: string
}

/** The last connection of a device: the one it has, or the last that ended. */
export type LastSeen = {
  connectedAt: string
  /** Null while it is connected. */
  disconnectedAt: string | null
  /** How the last connection that has ended did: a reason code, or `client_disconnect`, `connection_lost`, `taken_over`,
   * `broker_stopped`, `broker_lost`. */
  reason: string | null
  address: string | null
  fingerprint: string | null
  protocol: string | null
  sessionKept: boolean
  messagesWaiting: number
  /** Of all its connections, from the device and to it. */
  bytesIn: number
  bytesOut: number
}

/** `devices` is the least there are where it is not `exact`. */
export type Group = { name: string; devices: number; exact: boolean; policies: string[] }

export type NewDevice = { id: string; attributes?: Record<string, string>; groups?: string[] }
export type DeviceChange = { attributes?: Record<string, string>; groups?: string[] }
/** All must hold. Times are RFC 3339. */
export type DeviceFilter = {
  state?: string
  group?: string
  prefix?: string
  /** `NAME:VALUE` */
  attribute?: string
  connected?: boolean
  /** Terms between blanks: starts of IDs or fingerprints, serial numbers, `NAME:VALUE` of attributes. */
  search?: string
  lastSeenBefore?: string
  lastSeenAfter?: string
  connectedBefore?: string
  connectedAfter?: string
  neverConnected?: boolean
  certificateStatus?: string
  expiresBefore?: string
  expiresAfter?: string
}
/** `sort` is a field of the list, descending with `-` before it. */
export type DeviceListing = DeviceFilter & { sort?: string; limit?: number }

export type Certificate = {
  /** SHA-256 of the DER, lowercase hex. */
  fingerprint: string
  deviceId: string
  status: string
  revocationReason: string | null
  trust: 'chained' | 'pinned'
  issuerId: string | null
  serialNumber: string
  subject: string
  keyType: string
  spkiHash: string
  notBefore: string
  notAfter: string
  graceUntil: string | null
  issuedAt: string
  firstUsedAt: string | null
  revokedAt: string | null
}

/** With the leaf, the issuing chain without the root, and the root (null where it is not ours). All PEM. */
export type IssuedCertificate = Certificate & { certificate: string; chain: string[]; ca: string | null }

export type CertificateFilter = { deviceId?: string; status?: string; limit?: number }
/** A reason of RFC 5280 §5.3.1 by name; `unspecified` where none is given. */
export type CertificateChange = { reason?: string }

/** The brokers that have acted on a change. */
export type Receipt = {
  epoch: number
  nodesTotal: number
  nodesAcknowledged: number
  sessionsCut: number
  /** Brokers that did not acknowledge in time. */
  unreachable: string[]
  /** From then on none of them can have a session that the change ended (RFC 3339 UTC); null where that cannot be said. */
  noSessionAfter?: string | null
}
/** A certificate that admits a device. Times are RFC 3339 UTC. */
export type AdmittingCertificate = {
  fingerprint: string
  deviceId: string
  status: string
  notAfter: string
  graceUntil: string | null
}
/** `stillAdmitting`: what admits the certificate's device all the same. */
export type CertificateReceipt = Receipt & {
  fingerprint: string
  status: string
  stillAdmitting: AdmittingCertificate[]
}
export type RevocationReceipt = CertificateReceipt & {
  /** For keyCompromise every certificate of the same key, and every one that was obtained with it. */
  revoked: { fingerprint: string; deviceId: string; because: 'named' | 'key' | 'lineage' }[]
}
export type IssuerReceipt = Receipt & { issuerId: string; enabled: boolean }
export type StateReceipt = Receipt & { deviceId: string; state: DeviceState }

/** Issuers of certificates that may be admitted: our own CAs and foreign trust anchors. `id` is the fingerprint. */
export type Issuer = {
  id: string
  name: string
  kind: 'root' | 'issuing' | 'foreign'
  parentId: string | null
  enabled: boolean
  subject: string
  notBefore: string
  notAfter: string
  /** The certificate in force first, then those that it took the place of. */
  certificates: { fingerprint: string; notBefore: string; notAfter: string; inForce: boolean }[]
}

export type Check = {
  name: string
  outcome: 'passed' | 'failed' | 'skipped'
  reason: string | null
  inputs: Record<string, unknown>
}

export type Refusal = {
  at: string
  reason: string
  address: string | null
  fingerprint: string | null
  count: number
} & Answers

/** What a client is told: by MQTT 5 a Reason Code such as `0x8a`, by 3.1.1 the return code of CONNACK; null for no packet. */
type Answers = { mqtt5: string | null; mqtt311: number | null }

/** A publish, subscription or will that its policies denied to a device; `topic` is a filter for `subscribe`. */
export type Denial = {
  at: string
  firstAt: string
  action: 'publish' | 'subscribe' | 'will'
  topic: string
  qos: number
  retain: boolean
  /** As of a simulation; null where it cannot be told. */
  verdict: string | null
  /** Null where no statement allows it. */
  decidedBy: { policy: string; statement: number; topic: string } | null
  address: string
  fingerprint: string
  count: number
}

/** Whether a device or certificate would be admitted now: every check in order, and the last refusals seen. */
export type Explanation = {
  subject: { kind: 'device' | 'certificate'; id: string }
  wouldBeAdmitted: boolean
  reason: string | null
  message: string
  hint: string | null
  /** What its client is told; null where it would be admitted, or has no certificate. */
  answer: Answers | null
  checks: Check[]
  /** What a TPM proved of the certificate's key; absent where none did. */
  attestation?: {
    attested: boolean
    /** SHA-256 of its SubjectPublicKeyInfo. */
    endorsementKey: string
    vouchedBy: string | null
    maker: string | null
    model: string | null
    version: string | null
    keyAttributes: string[]
    provenAt: string
  }
  /** For a device: each of its certificates. */
  certificates?: { fingerprint: string; wouldBeAdmitted: boolean; reason: string | null; checks: Check[] }[]
  /** For a stranger: the device whose ID is nearest to a name in its certificate. A hint: names never admit. */
  nearestDevice?: { id: string; state: DeviceState; name: string; distance: number }
  /** For a device, the newest first. */
  denials?: Denial[]
  refusals: Refusal[]
}

export type Page<Item> = { items: Item[]; nextCursor: string | null }

export type ActorKind = 'token' | 'certificate' | 'enrollment' | 'device' | 'service' | 'local'

/** A row of the audit log, with the hash of the row before and its own. */
export type AuditRow = {
  seq: number
  ts: string
  actor: string
  /** What kind of caller the actor is; null in rows of a version that kept no kinds. */
  actorKind: ActorKind | null
  action: string
  target: string
  outcome: string
  reason: string | null
  requestId: string | null
  detail: Record<string, unknown>
  prevHash: string
  hash: string
}

/** All must hold. `action` may end in `.*`; `after` takes the number of a row and gives only later ones. */
export type AuditFilter = {
  actor?: string
  actorKind?: ActorKind
  /** People by their tokens, certificates and local commands; machines are devices, enrollments and the service. */
  by?: 'people' | 'machines'
  action?: string
  target?: string
  since?: string
  until?: string
  after?: number
  order?: 'newest' | 'oldest'
  limit?: number
}

/** Whether the audit log is as it was written; `fault` names the first row that is not. */
export type AuditVerification = {
  outcome: 'intact' | 'tampered'
  rows: number
  lastSeq: number
  lastHash: string
  checkpoints: number
  sealedThrough: number
  unsealedRows: number
  unsealedSince: string | null
  fault: { kind: string; seq: number; through: number; message: string } | null
}
