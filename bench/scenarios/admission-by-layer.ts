// What the layers of an admission cost, by turns in one run: TLS alone, the gate, the gate with look-up and decision, the whole broker;
// on Bun also other listeners. Run by hand: node bench/scenarios/admission-by-layer.ts [node|bun] [rounds] [connects in a round] [warm].
import { spawn } from 'node:child_process'
import { loadavg } from 'node:os'
import { freePort } from '../../test/harness/free-port.ts'
import { createFleet } from '../fleet.ts'
import type { Layer } from '../layer-server.ts'
import { type BenchServer, bunProgram, nodeFlags, startServer, untilAnswers } from '../servers.ts'
import { measureAdmission, type Sessions, warmUp } from './admission.ts'
import { quantile } from './storm.ts'

const [runtime = 'node', rounds = '9', connects = '500', warm = '12000'] = process.argv.slice(2)
const common: Layer[] = ['accepted', 'gate', 'gate-lookup']
const layers: Layer[] = runtime === 'bun' ? [...common, 'listening', 'bun-listen'] : common
const entry = new URL('../layer-server.ts', import.meta.url).pathname

type Measured = { name: string; server: BenchServer; sessions: Sessions; full: number[]; resumed: number[] }
const fleet = await createFleet({ devices: 300, backends: 0 })
const measured: Measured[] = []
const add = (name: string, server: BenchServer) =>
  measured.push({ name, server, sessions: new Map(), full: [], resumed: [] })
try {
  for (const layer of layers) add(layer, await startLayer(layer))
  const whole = runtime === 'bun' ? 'bun' : 'rollcall'
  for (const name of [whole, 'mosquitto'] as const) add(name, await startServer(name, fleet))
  for (const { server, sessions } of measured) await warmUp(server, fleet, sessions, Number(warm))
  for (let round = 0; round < Number(rounds); round += 1)
    for (const { server, sessions, full, resumed } of round % 2 === 0 ? measured : measured.toReversed()) {
      full.push(await measureAdmission(server, fleet, Number(connects)))
      resumed.push(await measureAdmission(server, fleet, Number(connects), { sessions }))
    }
  for (const { name, full, resumed } of measured)
    console.log(
      `${name}: full ${shown(full, measured[0]!.full)}; resumed ${shown(resumed, measured[0]!.resumed)}`,
    )
  console.log(`load ${loadavg()[0]!.toFixed(1)}`)
} finally {
  for (const { server } of measured) await server.stop()
  await fleet.close()
}

async function startLayer(layer: Layer): Promise<BenchServer> {
  const port = await freePort()
  const [program, flags] = runtime === 'bun' ? [bunProgram, []] : [process.execPath, nodeFlags]
  const child = spawn(program, [...flags, entry, layer, String(port), fleet.data], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await untilAnswers(port, fleet, child)
  return {
    ...{ name: 'bare', port, pid: child.pid! },
    async stop() {
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill()
      await gone
    },
  }
}

/** Median in µs, and of the ratios to the first server's of the same round with their middle half. */
function shown(values: readonly number[], first: readonly number[]): string {
  const at = (all: readonly number[], share: number) =>
    quantile(
      all.toSorted((one, other) => one - other),
      share,
    )
  const ratios = values.map((value, round) => value / first[round]!)
  const [low, middle, high] = [0.25, 0.5, 0.75].map(share => at(ratios, share).toFixed(2))
  return `${at(values, 0.5).toFixed(0)} µs, ${middle} × (${low}–${high})`
}
