// The table that a run prints, and the raw figures behind it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { environment } from './environment.ts'

type Row = { name: string; unit: string; target: string; [server: string]: string }
/** What was measured of each server, by its name. */
export type Spent = Record<string, number[]>

const rows: Row[] = []
const results: Record<string, unknown> = {}

export function addRow(
  name: string,
  unit: string,
  target: string,
  cells: Record<string, string>,
  raw: unknown,
): void {
  rows.push({ name, unit, target, ...cells })
  results[name] = raw
}

/** CPU of each server in µs, and of its median to mosquitto's. */
export function addRatios(name: string, target: string, spent: Spent, digits = 0): void {
  const peer = median(spent['mosquitto']!)
  const cells = Object.fromEntries(
    Object.entries(spent).map(([server, values]) => [
      server,
      `${withSpread(values, digits)}, ${(median(values) / peer).toFixed(2)} ×`,
    ]),
  )
  addRow(name, 'µs CPU median (spread), ratio to mosquitto', target, cells, spent)
}

/** Prints all rows, and leaves the raw figures in `bench/results/latest.json`. */
export function printTable(quick: boolean): void {
  console.table(
    rows.map(({ name, unit, target, ...servers }) => ({ measure: name, unit, ...servers, target })),
  )
  mkdirSync(new URL('./results/', import.meta.url), { recursive: true })
  writeFileSync(
    new URL('./results/latest.json', import.meta.url),
    `${JSON.stringify({ ...environment(), quick, results }, null, 2)}\n`,
  )
}

export function withSpread(values: number[], digits = 0): string {
  const least = Math.min(...values).toFixed(digits)
  return `${median(values).toFixed(digits)} (${least}–${Math.max(...values).toFixed(digits)})`
}

export function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
