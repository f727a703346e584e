// What the API answers where the typed client has no word for it yet: the overview and live sessions.
import type { BrokerNode } from '../../client/nodes.ts'
import type { Device, DeviceState } from '../../client/types.ts'
import type { ChangeKind } from '../../db/change-kind.ts'

export type ListedDevice = Device

export type LiveSession = {
  node: string
  clientId: string
  since: string
  address: string
  protocol: string | null
  transport: string | null
  tlsVersion: string | null
  cipher: string | null
  resumed: boolean | null
  fingerprint: string
  keepAliveSeconds: number | null
  clean: boolean | null
  username: string | null
  subscriptions: string[]
}

/** Null where an operator bound to one group may not see it. */
export type Overview = {
  at: string
  devices: Record<DeviceState, number>
  certificates: {
    byStatus: Record<string, number>
    expiring: { withinSeconds: number; count: number }[]
    expired: number
  }
  connected: number
  waitingApproval: number
  perMinute:
    | { minute: string; connected: number; disconnected: number; refused: Record<string, number> }[]
    | null
  ca: {
    issuers: {
      id: string
      name: string
      enabled: boolean
      current: boolean
      keyHere: boolean
      notAfter: string
      devices: number | null
    }[]
    server: { notAfter: string; names: string[] }
    root: { notAfter: string }
  } | null
  nodes: (BrokerNode & { epoch: number })[] | null
  receipts: {
    at: string
    epoch: number
    kind: ChangeKind
    deviceId: string | null
    fingerprint: string | null
    issuerId: string | null
    nodesTotal: number
    nodesAcknowledged: number
    sessionsCut: number
    milliseconds: number | null
  }[]
  jobs: { running: number } | null
}
