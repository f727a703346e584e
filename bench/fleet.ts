// Identities for a run: one authority, devices and backends on the roll, files that every server can read.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Identity } from '../test/harness/authority.ts'
import { createRoll, type Roll } from '../test/harness/roll.ts'

export type BenchDevice = Identity & { id: string; fingerprint: string }
export type BenchFleet = {
  roll: Roll
  data: string
  root: string
  /** File with root and issuing CA, for servers that want their anchors in one. */
  anchors: string
  devices: BenchDevice[]
  backends: BenchDevice[]
  close(): Promise<void>
}

export async function createFleet(sizes: { devices: number; backends: number }): Promise<BenchFleet> {
  const roll = await createRoll()
  const anchors = join(roll.data, 'anchors.crt')
  writeFileSync(anchors, `${roll.root.certificate}\n${roll.issuing.certificate}\n`)
  const enroll = async (id: string, groups: string[]) => ({ id, ...(await roll.enroll(id, { groups })) })
  const devices: BenchDevice[] = []
  for (let index = 0; index < sizes.devices; index += 1) devices.push(await enroll(`device-${index}`, []))
  const backends: BenchDevice[] = []
  for (let index = 0; index < sizes.backends; index += 1)
    backends.push(await enroll(`backend-${index}`, ['backend']))
  return { roll, data: roll.data, root: roll.root.certificate, anchors, devices, backends, close: roll.close }
}
