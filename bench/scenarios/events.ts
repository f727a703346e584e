// What telling of connections costs: CPU of the broker per admission (full handshake, CONNECT, DISCONNECT) with the event log and
// without, by turns. Run by hand: node bench/scenarios/events.ts [rounds] [admissions per round]
import { createFleet } from '../fleet.ts'
import { startServer } from '../servers.ts'
import { measureAdmission } from './admission.ts'

const rounds = Number(process.argv[2] ?? 7)
const connects = Number(process.argv[3] ?? 3_000)
const WARM_UP = 1_000

const fleet = await createFleet({ devices: 1_000, backends: 1 })
const micros: Record<'with' | 'without', number[]> = { with: [], without: [] }
try {
  for (let round = 0; round < rounds; round += 1) {
    // The side that begins alternates, so that a machine that slows down favours neither.
    const turns = round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)
    for (const turn of turns) {
      const env = { ROLLCALL_BROKER_EVENT_LOG: turn === 'with' ? '1' : '0' }
      const server = await startServer('rollcall', fleet, { env })
      try {
        await measureAdmission(server, fleet, WARM_UP)
        const begin = performance.now()
        const cpu = await measureAdmission(server, fleet, connects)
        const perSecond = connects / ((performance.now() - begin) / 1_000)
        micros[turn].push(cpu)
        console.error(`${turn} events: ${cpu.toFixed(0)} µs at ${perSecond.toFixed(0)}/s`)
      } finally {
        await server.stop()
      }
    }
  }
} finally {
  await fleet.close()
}
const median = (took: number[]) => took.toSorted((a, b) => a - b)[Math.floor(took.length / 2)]!
const [told, silent] = [median(micros.with), median(micros.without)]
console.table([
  {
    'with events, µs': told.toFixed(0),
    'without, µs': silent.toFixed(0),
    'adds, %': ((told / silent - 1) * 100).toFixed(1),
    target: '≤ 5',
  },
])
