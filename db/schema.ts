// The shape of the record: one type per table, as Kysely reads and writes it.
// Times are milliseconds since the epoch; expiry is computed, never stored.
import type { Generated } from 'kysely'
import type { LeafDefect } from '../pki/leaf-conformance.ts'
import type { ActorKind } from './audit-chain.ts'
import type { ChangeKind } from './change-kind.ts'
import type { AcmeSchema } from './schema-acme.ts'
import type { IssuerSchema } from './schema-issuers.ts'
import type { KeySchema } from './schema-keys.ts'
import type { MonitoringSchema } from './schema-monitoring.ts'
import type { TpmSchema } from './schema-tpm.ts'

export type DeviceState = 'registered' | 'active' | 'suspended' | 'decommissioned'

export const certificateStatuses = [
  'pending',
  'issued',
  'active',
  'superseded',
  'suspended',
  'rejected',
  'retired',
  'lapsed',
  'revoked',
] as const
export type CertificateStatus = (typeof certificateStatuses)[number]

export const deadlineKinds = ['expiring', 'critical', 'lapse', 'retire', 'forget'] as const
export type DeadlineKind = (typeof deadlineKinds)[number]
export type Trust = 'chained' | 'pinned'

export type Role = 'viewer' | 'enroller' | 'operator' | 'admin'
/** What a trust anchor lets a device do that arrives unlisted. */
export type RegistrationMode = 'off' | 'pending' | 'active'
export type AttachmentKind = 'everyone' | 'device' | 'group' | 'issuer'

export type JobState = 'waiting' | 'running' | 'done' | 'cancelled' | 'failed'

type TablesElsewhere = MonitoringSchema & KeySchema & IssuerSchema & TpmSchema & AcmeSchema

export type Schema = TablesElsewhere & {
  jobs: {
    id: string
    state: JobState
    dry_run: number
    actor: string
    actor_kind: ActorKind
    request_id: string
    rows_total: number
    rows_done: Generated<number>
    rows_offset: Generated<number>
    results_bytes: Generated<number>
    counts: Generated<string>
    interruptions: Generated<number>
    error: string | null
    service: string | null
    served_at: number | null
    created_at: number
    started_at: number | null
    finished_at: number | null
  }
  issuers: {
    id: string
    name: string
    parent_id: string | null
    kind: 'root' | 'issuing' | 'foreign'
    der: Buffer
    enabled: number
    not_before: number
    not_after: number
    created_at: number
    crl_id: Generated<number | null>
    revoked: Generated<number>
  }
  trust_anchors: {
    issuer_id: string
    nonce: string | null
    nonce_expires_at: number | null
    proven_at: number | null
    proof_fingerprint: string | null
    registration: Generated<RegistrationMode>
    name_template: Generated<string>
    per_minute_max: Generated<number>
    devices_max: Generated<number>
    accept_v1: Generated<number>
    crl_url: string | null
    crl_checked_at: number | null
    crl_error: string | null
  }
  issuer_crls: {
    id: Generated<number>
    issuer_id: string
    number: string | null
    this_update: number
    next_update: number | null
    scope: string
    entries: number
    hash: string
    imported_at: number
  }
  issuer_revocations: { crl_id: number; serial_number: string; revoked_at: number; reason: string }
  arrivals: {
    fingerprint: string
    issuer_id: string
    der: Buffer
    address: string
    at: number
    decided_at: number | null
    reason: string | null
    detail: string | null
  }
  auto_registrations: { device_id: string; issuer_id: string; fingerprint: string; at: number }
  devices: {
    id: string
    state: DeviceState
    attributes: string
    created_at: number
    updated_at: number
    certificate_status: Generated<CertificateStatus | ''>
    certificate_not_after: Generated<number>
  }
  device_groups: { device_id: string; name: string }
  public_keys: { spki_hash: string; device_id: string }
  certificates: {
    fingerprint: string
    device_id: string
    issuer_id: string | null
    trust: Trust
    status: CertificateStatus
    revocation_reason: string | null
    serial_number: string
    subject: string
    key_type: string
    spki_hash: string
    client_auth: number
    is_ca: number
    defect: LeafDefect | null
    defect_grace: number
    not_before: number
    not_after: number
    grace_until: number | null
    der: Buffer
    issued_at: number
    first_used_at: number | null
    revoked_at: number | null
  }
  issuances: {
    serial_number: string
    issuer_id: string
    device_id: string
    spki_hash: string
    purpose: 'device' | 'canary' | 'server'
    not_before: number
    not_after: number
    intended_at: number
    fingerprint: string | null
    abandoned_at: Generated<number | null>
  }
  enrollment_tokens: {
    id: string
    hash: string
    device_id: string | null
    group_name: string | null
    approval: number
    approval_if_held: Generated<number>
    made_within: Generated<string | null>
    created_by: string
    created_at: number
    expires_at: number
    attempts: number
    revoked_at: number | null
    used_at: number | null
    used_by: string | null
    spki_hash: string | null
    serial_number: string | null
  }
  claims: {
    id: string
    name: string
    group_name: string | null
    quota: number
    allowlisted: number
    approval: number
    issuer_id: string
    serial_number: string
    spki_hash: string
    not_before: number
    not_after: number
    created_by: string
    created_at: number
    revoked_at: number | null
    fingerprint: string | null
    der: Buffer | null
    claimed: Generated<number>
  }
  claim_allowlist: { claim_id: string; device_id: string }
  anchor_enrollments: {
    issuer_id: string
    mode: RegistrationMode
    name_template: string
    group_name: string | null
    devices_max: number
    devices: Generated<number>
  }
  claimed_devices: { claim_id: string; device_id: string; claimed_at: number }
  deadlines: { fingerprint: string; kind: DeadlineKind; due_at: number }
  renewals: { fingerprint: string; renews: string; compromise: number }
  crls: {
    issuer_id: string
    number: number
    this_update: Generated<number | null>
    next_update: Generated<number | null>
    entries: Generated<number>
    entries_hash: Generated<string | null>
    hash: Generated<string | null>
  }
  rotations: { issuer_id: string; at: number; spread_ms: number }
  policies: { name: string; document: string; updated_at: number }
  session_subscriptions: { node_id: string; device_id: string; fingerprint: string; filter: string }
  policy_attachments: { policy_name: string; kind: AttachmentKind; target: string }
  api_tokens: {
    id: string
    name: string
    role: Role
    hash: string
    created_at: number
    expires_at: number | null
    revoked_at: number | null
    scope_group: string | null
    created_by: string
    last_used_at: number | null
    last_used_address: string | null
  }
  operator_certificates: {
    fingerprint: string
    name: string
    role: Role
    scope_group: string | null
    subject: string
    key_type: string
    spki_hash: string
    not_before: number
    not_after: number
    created_at: number
    created_by: string
    expires_at: number
    revoked_at: number | null
    last_used_at: number | null
    last_used_address: string | null
  }
  idempotency_keys: {
    holder_id: string
    key_hash: string
    request_hash: string
    at: number
    action: string | null
    target: string | null
    epoch: number | null
    status: number | null
    headers: string | null
    body: string | null
  }
  changes: {
    epoch: Generated<number>
    at: number
    kind: ChangeKind
    device_id: string | null
    fingerprint: string | null
    issuer_id: string | null
    topic: string | null
  }
  acknowledgements: { epoch: number; node_id: string; sessions_cut: number; at: number }
  audit: {
    seq: Generated<number>
    at: number
    actor: string
    actor_kind: ActorKind | null
    action: string
    target: string
    outcome: string
    reason: string | null
    request_id: string | null
    detail: string
    prev_hash: string
    hash: string
  }
  audit_checkpoints: {
    number: Generated<number>
    seq: number
    hash: string
    at: number
    key_id: string
    signature: string
  }
}
