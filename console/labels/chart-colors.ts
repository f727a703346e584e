// Colours of charts: a reason keeps its own, in every chart and whatever stands beside it.
import { reasonCodes } from '../../db/reason.ts'

export const chartColors = {
  first: 'var(--chart-1)',
  second: 'var(--chart-4)',
  third: 'var(--chart-5)',
  rest: 'var(--chart-6)',
}

/** Neighbours of the list lie far from each other; none comes near the hue of what succeeded. */
const GOLDEN_ANGLE = 137.508
/** Of middle lightness: seen on white and on black. */
const LIGHTNESS = [0.6, 0.68, 0.52]

export function reasonColor(code: string): string {
  const at = reasonCodes.indexOf(code as (typeof reasonCodes)[number])
  if (at < 0) return chartColors.rest
  const hue = Math.round((205 + ((at * GOLDEN_ANGLE) % 360) * (310 / 360)) % 360)
  return `oklch(${LIGHTNESS[at % LIGHTNESS.length]} 0.16 ${hue})`
}
