// Times and shares of a scenario as numbers; the schema has validated their text. Pure.
import { parseDurationMs } from '../duration.ts'

export function ms(text: string): number {
  return parseDurationMs(text) ?? 0
}

export function skewMs(text: string | undefined): number {
  if (text === undefined) return 0
  const sign = text.startsWith('-') ? -1 : 1
  const size = text.replace('-', '')
  return sign * (size.endsWith('d') ? Number(size.slice(0, -1)) * 86_400_000 : ms(size))
}

export function shareOf(text: string | undefined, fallback: number): number {
  return text === undefined ? fallback : Number(text.slice(0, -1)) / 100
}
