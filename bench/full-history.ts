// Fills the history with a year of figures: every period of every step that is kept, six reasons in each.
import { historySteps, openHistoryFile } from '../db/history/history-file.ts'

const YEAR_MS = 366 * 86_400_000
const counters = [
  'connected',
  'disconnected',
  'messages_received',
  'messages_sent',
  'bytes_received',
  'bytes_sent',
]
const refusals = [
  'certificate_revoked',
  'certificate_unlisted',
  'certificate_expired',
  'device_suspended',
  'client_id_mismatch',
  'issuer_unknown',
]

/** Returns how many rows there are. */
export function fillHistory(file: string, now: number): number {
  const { sqlite } = openHistoryFile(file)
  const add = sqlite.prepare('INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?, ?)')
  let rows = 0
  sqlite.transaction(() => {
    for (const { ms, keptMs } of Object.values(historySteps)) {
      const first = Math.ceil((now - Math.min(keptMs, YEAR_MS)) / ms) * ms
      for (let at = first; at <= now; at += ms) {
        const minutes = ms / 60_000
        for (const name of counters) add.run(ms, at, name, '', 100 * minutes + (at % 977), 0, 0)
        for (const reason of refusals) add.run(ms, at, 'refused', reason, 1 + (at % 7) * minutes, 0, 0)
        add.run(ms, at, 'sessions', 'broker', 150_000 * minutes, 30 * minutes, 5_100)
        add.run(ms, at, 'acknowledgement_us', '', 9_000 * minutes, 10 * minutes, 2_500)
        add.run(ms, at, 'routing_us', '', 3_000 * minutes, 10 * minutes, 900)
        rows += counters.length + refusals.length + 3
      }
    }
  })()
  sqlite.close()
  return rows
}
