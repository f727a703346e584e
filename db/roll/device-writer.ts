// Verbs that change devices. Each is one transaction: the change, its audit row and, where a right can end, a change row.
import type { Transaction } from 'kysely'
import { DEVICE_ID_RULE, isDeviceId } from '../../pki/device-id.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { assertDeviceSeen } from '../entity-tags.ts'
import type { Registry } from '../open.ts'
import type { DeviceState, Schema } from '../schema.ts'
import { insert, rowsOf } from '../statement.ts'
import { Conflict, transact, transactUrgently } from '../transact.ts'
import { deviceMay } from './transitions.ts'

type NewDevice = { id: string; attributes: Record<string, string>; groups: string[] }
type DeviceChange = { attributes?: Record<string, string> | undefined; groups?: string[] | undefined }

type DeviceWriter = {
  /** @throws {RangeError} where the text is no device ID: callers check it first, and give an error of their own */
  addDevice(device: NewDevice, actor: Actor): Promise<void>
  changeDevice(id: string, change: DeviceChange, actor: Actor): Promise<void>
  /** Gives the epoch of the change; the same state again gives the epoch of the change that made it so. */
  setDeviceState(id: string, state: 'active' | 'suspended' | 'decommissioned', actor: Actor): Promise<number>
}

/** The move that leads to a state an operator asks for. */
const moveTo = { active: 'activate', suspended: 'suspend', decommissioned: 'decommission' } as const

export function createDeviceWriter(registry: Registry, now: () => number): DeviceWriter {
  return {
    addDevice: (device, actor) =>
      transact(registry, transaction => addDeviceIn(transaction, device, actor, now())),

    changeDevice: (id, change, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await stateOf(transaction, id)
        await assertDeviceSeen(transaction, actor, id)
        await transaction
          .updateTable('devices')
          .set({
            updated_at: at,
            ...(change.attributes === undefined ? {} : { attributes: JSON.stringify(change.attributes) }),
          })
          .where('id', '=', id)
          .execute()
        if (change.groups !== undefined) {
          await transaction.deleteFrom('device_groups').where('device_id', '=', id).execute()
          await writeGroups(transaction, id, change.groups)
        }
        // Groups and attributes decide which policy holds, so live sessions must look again.
        await appendChange(transaction, { kind: 'policy', at, deviceId: id })
        await appendAudit(transaction, {
          at,
          actor,
          action: 'device.change',
          target: id,
          detail: { ...change },
        })
      }),

    setDeviceState: (id, state, actor) =>
      (state === 'active' ? transact : transactUrgently)(registry, async transaction => {
        const at = now()
        const current = await stateOf(transaction, id)
        await assertDeviceSeen(transaction, actor, id)
        if (current === state) return latestEpoch(transaction, id)
        if (!deviceMay(moveTo[state], current)) {
          throw new Conflict('device_state_forbids', `device ${id} is ${current}: it cannot become ${state}`)
        }
        await transaction.updateTable('devices').set({ state, updated_at: at }).where('id', '=', id).execute()
        await appendAudit(transaction, {
          at,
          actor,
          action: `device.${moveTo[state]}`,
          target: id,
          detail: { from: current },
        })
        return appendChange(transaction, { kind: 'device', at, deviceId: id })
      }),
  }
}

/** Registers a device as part of a larger change. Throws as `addDevice` does. */
export async function addDeviceIn(
  transaction: Transaction<Schema>,
  device: NewDevice,
  actor: Actor,
  at: number,
): Promise<void> {
  // An ID stands in topics and policies: one that the caller could not check is never made.
  if (!isDeviceId(device.id)) throw new RangeError(`a device ID is ${DEVICE_ID_RULE}`)
  const row = {
    id: device.id,
    state: 'registered' as const,
    attributes: JSON.stringify(device.attributes),
    created_at: at,
    updated_at: at,
  }
  if (!(await insert(transaction, 'devices', row, '(id) DO NOTHING'))) {
    throw new Conflict('device_exists', `device ${device.id} is registered already`)
  }
  await writeGroups(transaction, device.id, device.groups)
  await appendAudit(transaction, {
    at,
    actor,
    action: 'device.add',
    target: device.id,
    detail: { ...device },
  })
}

/** The state of a device inside a transaction. Throws `device_unknown`. */
export async function stateOf(transaction: Transaction<Schema>, id: string): Promise<DeviceState> {
  const [row] = await rowsOf<{ state: DeviceState }>(
    transaction,
    'SELECT state FROM devices WHERE id = ?',
    id,
  )
  if (row === undefined) throw new Conflict('device_unknown', `no device ${id} is registered`)
  return row.state
}

async function writeGroups(transaction: Transaction<Schema>, id: string, groups: string[]): Promise<void> {
  const rows = [...new Set(groups)].map(name => ({ device_id: id, name }))
  if (rows.length > 0) await transaction.insertInto('device_groups').values(rows).execute()
}

async function latestEpoch(transaction: Transaction<Schema>, id: string): Promise<number> {
  const row = await transaction
    .selectFrom('changes')
    .select(({ fn }) => fn.max('epoch').as('epoch'))
    .where('device_id', '=', id)
    .where('kind', '=', 'device')
    .executeTakeFirst()
  return row?.epoch ?? 0
}
