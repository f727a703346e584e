// Everything that a run is shown by: the live view, and the files and endpoint that were asked for.
// Says before the run what cannot be written, and after it what could not. Refuses to know how a run goes.
import type { Io } from '../index.ts'
import type { RunListener } from '../results/feed.ts'
import type { Summary } from '../results/summary.ts'
import { createLineFile, requireWritable, writeWhole } from './files.ts'
import { createLiveView } from './live.ts'
import { reportPage } from './report/page.ts'
import { createSeries } from './report/series.ts'

export type OutputFlags = { json?: string; samples?: string; report?: string }

export type Outputs = {
  listeners: RunListener[]
  /** Writes what was asked for; null where there was no run to speak of. @returns what could not be written. */
  close(summary: Summary | null): Promise<string[]>
}

/** @throws BadUsage where a file cannot be written. */
export async function openOutputs(
  flags: OutputFlags,
  { stderr, env }: Pick<Io, 'stderr' | 'env'>,
): Promise<Outputs> {
  requireWritable({ '--json': flags.json, '--samples': flags.samples, '--report': flags.report })
  const view = createLiveView(stderr, env)
  const series = flags.report === undefined ? null : createSeries()
  const lines = flags.samples === undefined ? null : createLineFile(flags.samples)
  const files: RunListener = {
    sample(sample) {
      series?.add(sample)
      lines?.line(sample)
    },
  }
  return {
    listeners: [view, files],
    async close(summary) {
      view.end()
      const troubles: string[] = []
      const attempt = async (flag: string, file: string, work: Promise<void>): Promise<void> => {
        await work.catch(error => troubles.push(`${flag}: ${file} is not whole: ${error.message}`))
      }
      if (lines && flags.samples !== undefined) await attempt('--samples', flags.samples, lines.end())
      if (summary && flags.json !== undefined) {
        await attempt('--json', flags.json, writeWhole(flags.json, `${JSON.stringify(summary, null, 2)}\n`))
      }
      if (summary && series && flags.report !== undefined) {
        const page = async (): Promise<string> => reportPage(summary, series.points())
        await attempt(
          '--report',
          flags.report,
          page().then(text => writeWhole(flags.report as string, text)),
        )
      }
      return troubles
    },
  }
}
