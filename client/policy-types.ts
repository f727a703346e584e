// The documents of the policy routes, as the OpenAPI description names them.
import type { Receipt } from './types.ts'

export type PolicyAction = 'publish' | 'subscribe' | 'receive' | 'retain' | 'will'
export type PolicyStatement = {
  effect: 'allow' | 'deny'
  actions: PolicyAction[]
  topics: string[]
  when?: { qosMax?: 0 | 1 | 2 }
}
/** What no statement of any policy goes beyond; of several policies the least. */
export type PolicyLimits = { qosMax?: 0 | 1 | 2; sessionExpiryMaxSeconds?: number }
export type PolicyDocument = { name: string; statements: PolicyStatement[]; limits?: PolicyLimits }

/** `everyone` has the target ''. */
export type PolicyAttachment = { kind: 'everyone' | 'device' | 'group' | 'issuer'; target: string }

type PolicyFacts = {
  name: string
  /** The ETag without its quotes. */
  version: string
  updatedAt: string
  /** The first hundred of `attachmentsTotal`. */
  attachments: PolicyAttachment[]
  attachmentsTotal: number
}
export type PolicySummary = PolicyFacts & { statementsTotal: number }
export type Policy = PolicyFacts & { document: PolicyDocument }
/** `version` is null where the policy was deleted. */
export type PolicyReceipt = Receipt & { name: string; version: string | null }
export type AttachmentReceipt = Receipt & PolicyAttachment & { name: string }

export type PolicyQuestion = { action: PolicyAction; topic: string; qos?: 0 | 1 | 2; retain?: boolean }
/** `statement` counts from 0. */
export type DecidedBy = { policy: string; statement: number; topic: string }
export type PolicyDecision = { allowed: boolean; verdict: string; decidedBy: DecidedBy | null }
/** `sessionExpiryMaxSeconds` is null where a session lasts as long as it asks. */
export type HeldLimits = { qosMax: 0 | 1 | 2; sessionExpiryMaxSeconds: number | null }
/** The limits of all policies together, today and under the draft. */
export type PolicyLimitsCompared = { now: HeldLimits; draft: HeldLimits }
export type PolicySimulation = {
  deviceId: string
  certificate: string | null
  /** Whether the policy holds for the device today. */
  holds: boolean
  limits: PolicyLimitsCompared
  results: (Required<PolicyQuestion> & { now: PolicyDecision; draft: PolicyDecision })[]
}

export type PolicyLoss = { action: PolicyAction; filter: string; extent: 'all' | 'part' }
/** What a change would take or give, device by device; devices that lose something come first. */
export type PolicyTrial = {
  devicesTotal: number
  devicesLosing: number
  devicesGaining: number
  subscriptionsNoted: number
  subscriptionsLost: number
  nodesTotal: number
  items: {
    deviceId: string
    lost: PolicyLoss[]
    gained: PolicyLoss[]
    /** Null where they stay. */
    limits: PolicyLimitsCompared | null
    /** False where more is lost or gained than is listed. */
    complete: boolean
    connected: boolean
    subscriptionsLost: string[]
    subscriptionsComplete: boolean
  }[]
  truncated: boolean
}

export type EffectivePolicy = {
  deviceId: string
  certificate: string | null
  policies: { name: string; through: PolicyAttachment[] }[]
  variables: Record<string, string>
  /** The deny that takes all rights away, because a value it names is missing. */
  refused: DecidedBy | null
  limits: HeldLimits
  statements: {
    policy: string
    statement: number
    effect: 'allow' | 'deny'
    actions: PolicyAction[]
    qosMax: 0 | 1 | 2
    topics: { written: string; bound: string | null; missing: string[] }[]
  }[]
}
