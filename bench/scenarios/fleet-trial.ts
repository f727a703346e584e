// What a viewer's trials of a policy on the fleet cost an operator: the time of a small question, with trials beside it and without, by
// turns. Run by hand: node bench/scenarios/fleet-trial.ts [devices] [rounds]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fillRecord, largestPolicy } from '../event-loop/record.ts'
import { quantile } from './storm.ts'

const devices = Number(process.argv[2] ?? 1_000)
const rounds = Number(process.argv[3] ?? 5)
const PHASE_MS = 4_000
const ASK_EVERY_MS = 20
const TRIALS_AT_ONCE = 16
const REFUSED_PAUSE_MS = 2_000
const TARGET = 2
const entry = new URL('../event-loop/service.ts', import.meta.url).pathname
const data = mkdtempSync(join(tmpdir(), 'rollcall-bench-fleet-trial-'))
const body = JSON.stringify({ document: largestPolicy('large', 'b'), limit: 1_000 })

async function start() {
  const child = fork(entry, [data], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [{ url }] = (await once(child, 'message')) as [{ url: string }]
  const stop = async () => {
    child.send('stop')
    await once(child, 'exit')
  }
  /** The longest hold of the loop meanwhile, in ms of its own CPU. */
  const heldDuring = async (work: () => Promise<unknown>): Promise<number> => {
    const answered = () => once(child, 'message') as Promise<[{ cpuMs: number }]>
    const begun = answered()
    child.send('begin')
    await begun
    await work()
    const told = answered()
    child.send('end')
    return (await told)[0].cpuMs
  }
  return { url, stop, heldDuring }
}

try {
  await (await start()).stop()
  await fillRecord(data, devices)
  const { url, stop, heldDuring } = await start()
  const ca = readFileSync(join(data, 'ca.crt'))
  const authorization = `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}`
  const ask = (agent: Agent, method: string, path: string, sent?: string, signal?: AbortSignal) =>
    new Promise<number>((resolve, reject) => {
      const type = sent === undefined ? {} : { 'content-type': 'application/json' }
      const headers = { authorization, ...type }
      const outgoing = request(`${url}${path}`, { method, agent, headers, ...(signal ? { signal } : {}) })
      outgoing.once('error', reject)
      outgoing.once('response', answer => answer.resume().once('end', () => resolve(answer.statusCode ?? 0)))
      outgoing.end(sent)
    })
  const [operator, viewer] = [new Agent({ keepAlive: true, ca }), new Agent({ keepAlive: true, ca })]

  /** Milliseconds of each question, one at a time. */
  async function phase(): Promise<number[]> {
    const took: number[] = []
    for (const end = performance.now() + PHASE_MS; performance.now() < end; await pause(ASK_EVERY_MS)) {
      const began = performance.now()
      await ask(operator, 'GET', '/v1/devices/fleet-0000001')
      took.push(performance.now() - began)
    }
    return took.toSorted((one, other) => one - other)
  }

  const answered: Record<string, number> = {}
  async function attack(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const path = '/v1/policies/large/simulate/fleet'
      const status = await ask(viewer, 'POST', path, body, signal).catch(() => 'cut')
      answered[status] = (answered[status] ?? 0) + 1
      // A refused one is not asked again at once: its body costs more than the refusal.
      if (status !== 200 && status !== 'cut') await pause(REFUSED_PAUSE_MS)
    }
  }

  const quiet: number[][] = []
  const beside: number[][] = []
  const held: { quiet: number[]; beside: number[] } = { quiet: [], beside: [] }
  const phaseInto = async (phases: number[][], holds: number[]) => {
    holds.push(await heldDuring(async () => phases.push(await phase())))
  }
  await phase()
  for (let round = 0; round < rounds; round += 1) {
    await phaseInto(quiet, held.quiet)
    const stopping = new AbortController()
    const running = Array.from({ length: TRIALS_AT_ONCE }, () => attack(stopping.signal))
    await pause(300)
    await phaseInto(beside, held.beside)
    stopping.abort()
    await Promise.all(running)
    await pause(500)
  }
  const median = (part: number, phases: number[][]) =>
    quantile(
      phases.map(took => quantile(took, part)).toSorted((one, other) => one - other),
      0.5,
    )
  const shown = (phases: number[][]) => [0.5, 0.99].map(part => median(part, phases).toFixed(2)).join(' / ')
  const ratio = median(0.99, beside) / median(0.99, quiet)
  console.table([
    {
      devices,
      'quiet p50 / p99, ms': shown(quiet),
      'beside trials p50 / p99, ms': shown(beside),
      'p99, ×': `${ratio.toFixed(2)}${ratio > TARGET ? ' MISSED' : ''}`,
      'loop held, ms of CPU': `${Math.max(...held.quiet).toFixed(0)} / ${Math.max(...held.beside).toFixed(0)}`,
      answered: JSON.stringify(answered),
    },
  ])
  operator.destroy()
  viewer.destroy()
  await stop()
} finally {
  rmSync(data, { recursive: true, force: true })
}
