// What a check of the doctor's says: what was found, and what to do about it. Never a secret.

export type Verdict = 'ok' | 'warn' | 'fail'

export type Finding = { check: string; verdict: Verdict; found: string; todo: string | null }

/** What every check may look at. */
export type CheckContext = {
  data: string
  env: NodeJS.ProcessEnv
  now: number
  /** What the service would listen on. */
  host: string
  ports: { mqtts: number; api: number; status: number; admin: number }
  /** The processes that hold the directory now. */
  running: readonly LockOwner[]
}

/** A service that holds its lock; `pid` is null where it lives in another container. */
export type LockOwner = { job: string; pid: number | null }

export const ok = (check: string, found: string): Finding => ({ check, verdict: 'ok', found, todo: null })
export const warn = (check: string, found: string, todo: string): Finding => ({
  check,
  verdict: 'warn',
  found,
  todo,
})
export const fail = (check: string, found: string, todo: string): Finding => ({
  check,
  verdict: 'fail',
  found,
  todo,
})

/** Each check for itself: one that cannot be made is a finding, not an end. */
export async function asked(check: string, work: () => Finding[] | Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await work()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return [fail(check, `could not be looked at: ${why}`, 'run it as the owner of the data directory')]
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

export function inBytes(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  return `${Number((bytes / 1024 ** step).toPrecision(3))} ${UNITS[step]}`
}

const DAY_MS = 86_400_000

export function inDays(ms: number): string {
  const days = Math.floor(Math.abs(ms) / DAY_MS)
  return days === 1 ? '1 day' : `${days} days`
}
