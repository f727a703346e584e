// What it costs a broker to note when devices connect and leave: CPU of the notes at 500 connects a second, each connection noted twice,
// of random devices in a large registry. Run by hand: node bench/scenarios/last-seen.ts [devices] [rounds] [registry to fill once and keep]
import { randomInt } from 'node:crypto'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { openForNotes } from '../../db/open.ts'
import { type LastSeenNote, prepareLastSeenNotes } from '../../db/roll/last-seen.ts'
import { fillVariedRoll } from '../varied-roll.ts'

const [devices = '1000000', rounds = '5', kept] = process.argv.slice(2)
const CONNECTS_PER_SECOND = 500
/** A broker writes its notes twice a second. */
const CONNECTS_AT_ONCE = CONNECTS_PER_SECOND / 2
const SECONDS = 20

const scratch = mkdtempSync(join(tmpdir(), 'rollcall-bench-'))
const file = kept ?? join(scratch, 'registry.db')
try {
  if (!existsSync(file)) await fillVariedRoll(file, Number(devices))
  // Brings one of an earlier version to this schema.
  await closeRegistry(openForWriting(file))
  const registry = openForNotes(file)
  const { lastSeen } = prepareLastSeenNotes(registry.sqlite)
  for (let round = 0; round < Number(rounds); round += 1) {
    const cpu = process.cpuUsage()
    for (let batch = 0; batch < SECONDS * 2; batch += 1) {
      const ids = Array.from(
        { length: CONNECTS_AT_ONCE },
        () => `fleet-${String(randomInt(Number(devices))).padStart(7, '0')}`,
      )
      lastSeen('bench', ids.map(connected))
      lastSeen('bench', ids.map(left))
    }
    const { user, system } = process.cpuUsage(cpu)
    const perConnect = (user + system) / (SECONDS * CONNECTS_PER_SECOND)
    const share = (perConnect * CONNECTS_PER_SECOND) / 10_000
    console.log(
      `${perConnect.toFixed(1)} µs a connection, ${share.toFixed(2)} % of a core at ${CONNECTS_PER_SECOND}/s; target 3`,
    )
  }
  await closeRegistry(registry)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function connected(deviceId: string): LastSeenNote {
  const live = { since: Date.now(), address: '192.0.2.1', fingerprint: 'a'.repeat(64), protocolLevel: 5 }
  return {
    ...{ deviceId, live, ended: null, sessionKept: false, messagesWaiting: 0, bytesIn: 100, bytesOut: 20 },
  }
}

function left(deviceId: string): LastSeenNote {
  const { live, ...note } = connected(deviceId)
  return { ...note, live: null, ended: { ...live!, until: Date.now(), reason: 'client_disconnect' } }
}
