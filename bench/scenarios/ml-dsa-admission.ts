// A full admission (handshake, CONNECT, DISCONNECT) of devices with ML-DSA-65 keys beside P-256's, by one broker in turns: CPU of its
// process. Run by hand: node bench/scenarios/ml-dsa-admission.ts [admissions] [rounds]
import { KeyObject } from 'node:crypto'
import { loadavg } from 'node:os'
import { pqKey, pqLeaf } from '../../test/harness/ml-dsa.ts'
import { type BenchDevice, type BenchFleet, createFleet } from '../fleet.ts'
import { startServer } from '../servers.ts'
import { measureAdmission } from './admission.ts'

const admissions = Number(process.argv[2] ?? 500)
const rounds = Number(process.argv[3] ?? 5)
const DEVICES = 50

const fleet = await createFleet({ devices: DEVICES, backends: 0 })
try {
  const mlDsa = { ...fleet, devices: await enrollMlDsa(fleet) }
  const server = await startServer('rollcall', fleet)
  try {
    const spent: Record<string, number[]> = { 'P-256': [], 'ML-DSA-65': [] }
    for (let round = 0; round <= rounds; round += 1)
      for (const [name, some] of Object.entries({ 'P-256': fleet, 'ML-DSA-65': mlDsa })) {
        const us = await measureAdmission(server, some, admissions)
        // The first round warms.
        if (round > 0) spent[name]!.push(us)
      }
    const median = (name: string) => spent[name]!.toSorted((a, b) => a - b)[Math.floor(rounds / 2)]!
    for (const name of Object.keys(spent)) process.stdout.write(`${name} ${median(name).toFixed(0)} µs CPU\n`)
    const ratio = (median('ML-DSA-65') / median('P-256')).toFixed(2)
    process.stdout.write(`${ratio} × (target: ≤ 1.8), load ${loadavg()[0]!.toFixed(1)}\n`)
  } finally {
    await server.stop()
  }
} finally {
  await fleet.close()
}

async function enrollMlDsa({ roll }: BenchFleet): Promise<BenchDevice[]> {
  const issuer = { name: 'Test Issuing CA', key: KeyObject.from(roll.issuing.keyPair.privateKey) }
  const devices: BenchDevice[] = []
  for (let index = 0; index < DEVICES; index += 1) {
    const id = `ml-dsa-${index}`
    const identity = pqLeaf(id, pqKey('ml-dsa-65'), issuer)
    devices.push({ id, ...identity, fingerprint: await roll.list(id, identity) })
  }
  return devices
}
