// The metrics of a run handed to a push gateway, for runs that end before a scrape: every few seconds and once at the end.
// Does not know what is in them. https://github.com/prometheus/pushgateway#api
import { readFileSync } from 'node:fs'
import { BadUsage } from '../failure.ts'
import type { RunListener } from '../results/run-listeners.ts'

export type MetricsPush = RunListener & {
  /** Pushes the last state. @returns the problem of that push, or null. */
  close(): Promise<string | null>
}

type PushFlags = { metricsPush: string; metricsPushTokenFile?: string }

const EVERY_MS = 5_000
const TIMEOUT_MS = 5_000
const TOKEN_BYTES_MAX = 8_192
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * POST of the text format to a URL such as `https://HOST:9091/metrics/job/load`, with a bearer token where a file holds one. One push
 * at a time; `say` hears of the first that failed. @throws BadUsage where the URL or the file will not do.
 */
export function createMetricsPush(
  flags: PushFlags,
  text: () => Promise<string>,
  say: (line: string) => void,
): MetricsPush {
  const url = urlOf(flags.metricsPush)
  const token = flags.metricsPushTokenFile === undefined ? null : tokenIn(flags.metricsPushTokenFile)
  const headers = {
    'content-type': CONTENT_TYPE,
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  }
  let pushedAt = performance.now()
  let problem: string | null = null
  let said = false
  let pushing: Promise<void> | null = null

  async function push(): Promise<void> {
    try {
      const body = await text()
      const signal = AbortSignal.timeout(TIMEOUT_MS)
      const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal })
      await answer.body?.cancel()
      problem = answer.ok ? null : `answered ${answer.status}`
    } catch (error) {
      problem = reasonOf(error)
    }
    if (problem === null || said) return
    said = true
    say(`metrics: ${url.host} ${problem}; further pushes are tried\n`)
  }

  return {
    sample() {
      if (pushing || performance.now() - pushedAt < EVERY_MS) return
      pushedAt = performance.now()
      pushing = push().finally(() => {
        pushing = null
      })
    },
    async close() {
      await pushing
      await push()
      return problem
    },
  }
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new BadUsage([
      `--metrics-push: expected http://HOST:PORT/PATH or https://…, got ${JSON.stringify(text)}`,
    ])
  }
  if (url.username !== '' || url.password !== '') {
    throw new BadUsage([
      '--metrics-push: credentials do not belong into a URL; use --metrics-push-token-file',
    ])
  }
  return url
}

function tokenIn(file: string): string {
  try {
    const token = readFileSync(file, 'utf8').trim()
    if (/^[\x21-\x7e]+$/.test(token) && token.length <= TOKEN_BYTES_MAX) return token
  } catch (error) {
    throw new BadUsage([`--metrics-push-token-file: ${file}: ${(error as NodeJS.ErrnoException).code}`])
  }
  throw new BadUsage([`--metrics-push-token-file: ${file}: expected one line, the token`])
}

/** What fetch wraps: the system's code where there is one. */
function reasonOf(error: unknown): string {
  const { cause, message, name } = error as Error
  if (name === 'TimeoutError') return `did not answer within ${TIMEOUT_MS / 1000} s`
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  return `was not reached: ${code ?? (cause as Error | undefined)?.message ?? message}`
}
