// When each device of a ramp starts: constant, as a Poisson process, or in bursts. Pure; the seed decides.
import { createRandom } from '../random.ts'
import type { ArrivalProcess } from '../scenario/plan.ts'

/** Milliseconds from the start of the ramp, ascending, one for each of `count` devices. */
export function startTimesMs(
  count: number,
  rate: number,
  arrival: ArrivalProcess,
  seed: number,
): Float64Array {
  const times = new Float64Array(count)
  const random = createRandom(seed)
  let atMs = 0
  for (let index = 0; index < count; index++) {
    if (arrival.of === 'constant') times[index] = (index * 1000) / rate
    else if (arrival.of === 'burst') {
      times[index] = (Math.floor(index / arrival.size) * arrival.size * 1000) / rate
    } else {
      atMs += (-Math.log(1 - random()) * 1000) / rate
      times[index] = atMs
    }
  }
  return times
}
