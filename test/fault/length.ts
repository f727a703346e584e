// How long a fault is tried: shortly where it is one test of many, at length in `npm run faults`.

const long = process.env['ROLLCALL_FAULTS'] === 'long'

/** How many of something, or how long. */
export function length(short: number, atLength: number): number {
  return long ? atLength : short
}
