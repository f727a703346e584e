// What can be done with many devices: which of them it would change, and the change of one.
import type { Certificate, Page, Receipt } from '../../../client/types.ts'
import { ask, change, query } from '../../api/request.ts'
import type { ListedDevice } from '../../api/response-types.ts'

export type BulkVerb = {
  title: string
  /** One word, on the button and typed. */
  verb: string
  tells: string
  danger: boolean
  /** Names of what has to be said besides, and what each is; empty ones may stay empty where `mayBeEmpty`. */
  inputs: readonly { name: 'group' | 'attribute' | 'value' | 'policy'; label: string; mayBeEmpty?: true }[]
  /** Whether it would change the device. Null where only the service knows. */
  changes: ((device: ListedDevice, said: Said) => boolean) | null
  /** Asks the service about devices of which the list alone does not tell: gives those of them that it would change. */
  ask?: (devices: readonly ListedDevice[], signal: AbortSignal) => Promise<ListedDevice[]>
  /** Gives how many sessions it cut. */
  act: (device: ListedDevice, said: Said) => Promise<number>
}
export type Said = { group: string; attribute: string; value: string; policy: string }

const pathOf = ({ id }: ListedDevice) => `/v1/devices/${encodeURIComponent(id)}`
const transition = (verb: string) => async (device: ListedDevice) =>
  (await change<Receipt>('POST', `${pathOf(device)}/${verb}`)).sessionsCut

/** Of the version that was seen: what somebody changed meanwhile is refused, not overwritten. */
async function patch(device: ListedDevice, body: object): Promise<number> {
  await change('PATCH', pathOf(device), body, { headers: { 'If-Match': `"${device.version}"` } })
  return 0
}

const REVOCABLE = ['pending', 'issued', 'active', 'superseded', 'suspended']

const isRevocable = ({ status }: { status: string }) => REVOCABLE.includes(status)

async function revocableCertificates(device: ListedDevice, signal?: AbortSignal): Promise<Certificate[]> {
  const path = `/v1/certificates${query({ deviceId: device.id, limit: 500 })}`
  return (await ask<Page<Certificate>>(path, signal === undefined ? {} : { signal })).items.filter(
    isRevocable,
  )
}

/** A list shows one certificate of a device; beside one that is void an older one may wait or be suspended. */
async function withRevocable(devices: readonly ListedDevice[], signal: AbortSignal): Promise<ListedDevice[]> {
  const found: ListedDevice[] = []
  for (const device of devices) {
    if (device.certificate === null) continue
    if (isRevocable(device.certificate) || (await revocableCertificates(device, signal)).length > 0)
      found.push(device)
  }
  return found
}

async function revokeCertificates(device: ListedDevice): Promise<number> {
  let cut = 0
  for (const { fingerprint } of await revocableCertificates(device)) {
    const receipt = await change<Receipt>('POST', `/v1/certificates/${fingerprint}/revoke`, {
      reason: 'unspecified',
    })
    cut += receipt.sessionsCut
  }
  return cut
}

export const bulkVerbs = {
  suspend: {
    title: 'Suspend devices',
    verb: 'suspend',
    tells:
      'Their sessions are cut and nothing of them is admitted until they are activated. What waits for them is kept.',
    danger: true,
    inputs: [],
    changes: ({ state }) => state === 'registered' || state === 'active',
    act: transition('suspend'),
  },
  activate: {
    title: 'Activate devices',
    verb: 'activate',
    tells: 'They may connect again with the certificates they have.',
    danger: false,
    inputs: [],
    changes: ({ state }) => state === 'suspended',
    act: transition('activate'),
  },
  addGroup: {
    title: 'Add devices to a group',
    verb: 'add',
    tells: 'They get the rights that policies of the group give, at once.',
    danger: false,
    inputs: [{ name: 'group', label: 'Group' }],
    changes: ({ groups, state }, { group }) => !groups.includes(group) && state !== 'decommissioned',
    act: (device, { group }) => patch(device, { groups: [...device.groups, group] }),
  },
  removeGroup: {
    title: 'Remove devices from a group',
    verb: 'remove',
    tells: 'They lose the rights that policies of the group give, at once.',
    danger: true,
    inputs: [{ name: 'group', label: 'Group' }],
    changes: ({ groups, state }, { group }) => groups.includes(group) && state !== 'decommissioned',
    act: (device, { group }) => patch(device, { groups: device.groups.filter(name => name !== group) }),
  },
  attribute: {
    title: 'Set an attribute of devices',
    verb: 'set',
    tells: 'An empty value removes the attribute. Policies that read it change with it.',
    danger: false,
    inputs: [
      { name: 'attribute', label: 'Attribute' },
      { name: 'value', label: 'Value', mayBeEmpty: true },
    ],
    changes: ({ attributes, state }, { attribute, value }) =>
      (Object.hasOwn(attributes, attribute) ? attributes[attribute] : '') !== value &&
      state !== 'decommissioned',
    act: async (device, { attribute, value }) => {
      const { [attribute]: _, ...others } = device.attributes
      return patch(device, { attributes: value === '' ? others : { ...others, [attribute]: value } })
    },
  },
  policy: {
    title: 'Attach a policy to devices',
    verb: 'attach',
    tells: 'It holds for each of them from now on. One that has it already stays as it is.',
    danger: false,
    inputs: [{ name: 'policy', label: 'Policy' }],
    changes: null,
    act: async ({ id }, { policy }) => {
      const path = `/v1/policies/${encodeURIComponent(policy)}/attachments/device/${encodeURIComponent(id)}`
      return (await change<Receipt>('PUT', path)).sessionsCut
    },
  },
  revoke: {
    title: 'Revoke the certificates of devices',
    verb: 'revoke',
    tells:
      'For good: every certificate of theirs that could still admit is revoked, and their sessions are cut. The devices stay on record.',
    danger: true,
    inputs: [],
    changes: null,
    ask: withRevocable,
    act: revokeCertificates,
  },
  decommission: {
    title: 'Decommission devices',
    verb: 'decommission',
    tells:
      'For good: their sessions are cut, their queues and retained messages deleted, and no state leads back.',
    danger: true,
    inputs: [],
    changes: ({ state }) => state !== 'decommissioned',
    act: transition('decommission'),
  },
} satisfies Record<string, BulkVerb>
export type BulkVerbName = keyof typeof bulkVerbs
