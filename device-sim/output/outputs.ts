// The outputs of a run: the live view, files, the metrics endpoint. Checks them before the run, and reports after it which
// could not be written.
import { appendFile } from 'node:fs/promises'
import type { AdminServer } from '../../admin/index.ts'
import type { CommandContext } from '../command-context.ts'
import { BadUsage, RunFailed } from '../failure.ts'
import type { RunListener } from '../results/run-listeners.ts'
import type { Sample } from '../results/sample.ts'
import type { Summary } from '../results/summary.ts'
import { csvHead, csvRow } from './csv.ts'
import type { Exposition } from './exposition.ts'
import { createLineFile, requireWritable, writeWhole } from './files.ts'
import { githubSummary } from './github-summary.ts'
import { junitText } from './junit.ts'
import { createLiveView } from './live.ts'
import type { MetricsPush } from './metrics-push.ts'
import { createSeries } from './report/series.ts'

export type OutputFlags = {
  json?: string
  samples?: string
  report?: string
  junit?: string
  csv?: string
  /** Appended to the file that GITHUB_STEP_SUMMARY names. */
  githubSummary?: boolean
  metricsPort?: string
  metricsHost?: string
  /** Where metrics are pushed to. */
  metricsPush?: string
  metricsPushTokenFile?: string
}

type Outputs = {
  listeners: RunListener[]
  /** Writes the files of the flags; null where the run did not start. @returns files that could not be written. */
  close(summary: Summary | null): Promise<string[]>
}

/** @throws BadUsage where a file cannot be written; RunFailed where the metrics port cannot be had. */
export async function openOutputs(
  flags: OutputFlags,
  { stderr, env }: Pick<CommandContext, 'stderr' | 'env'>,
): Promise<Outputs> {
  requireWritable({
    '--json': flags.json,
    '--samples': flags.samples,
    '--report': flags.report,
    '--junit': flags.junit,
    '--csv': flags.csv,
  })
  const jobSummary = flags.githubSummary ? env['GITHUB_STEP_SUMMARY'] : undefined
  if (flags.githubSummary && !jobSummary)
    throw new BadUsage([
      '--github-summary: GITHUB_STEP_SUMMARY names no file; it is set within GitHub Actions',
    ])
  const { metricsPort, metricsPush, metricsPushTokenFile } = flags
  if (metricsPush === undefined && metricsPushTokenFile !== undefined)
    throw new BadUsage(['--metrics-push-token-file: of --metrics-push URL, which is missing'])
  const measured = metricsPort !== undefined || metricsPush !== undefined
  const exposition = measured ? (await import('./exposition.ts')).createExposition() : null
  const push =
    exposition && metricsPush !== undefined
      ? await pushTo({ ...flags, metricsPush }, exposition, stderr)
      : null
  const server = exposition && metricsPort !== undefined ? await serve(exposition, flags) : null
  if (server) stderr.write(`metrics: ${server.url}/metrics\n`)
  const view = await createLiveView(stderr, env)
  const series = flags.report === undefined ? null : createSeries()
  const lines = flags.samples === undefined ? null : createLineFile<Sample>(flags.samples)
  const rows = flags.csv === undefined ? null : createLineFile(flags.csv, csvRow, csvHead)
  const files: RunListener = {
    sample(sample) {
      series?.add(sample)
      lines?.line(sample)
      rows?.line(sample)
    },
  }
  return {
    listeners: [view, files, ...(exposition ? [exposition] : []), ...(push ? [push] : [])],
    async close(summary) {
      view.end()
      const troubles: string[] = []
      const attempt = async (flag: string, file: string, work: Promise<void>): Promise<void> => {
        await work.catch(error => troubles.push(`${flag}: ${file} is not whole: ${error.message}`))
      }
      if (lines && flags.samples !== undefined) await attempt('--samples', flags.samples, lines.end())
      if (rows && flags.csv !== undefined) await attempt('--csv', flags.csv, rows.end())
      if (summary && jobSummary)
        await attempt('--github-summary', jobSummary, appendFile(jobSummary, githubSummary(summary)))
      if (summary && flags.json !== undefined) {
        await attempt('--json', flags.json, writeWhole(flags.json, `${JSON.stringify(summary, null, 2)}\n`))
      }
      if (summary && flags.junit !== undefined) {
        await attempt('--junit', flags.junit, writeWhole(flags.junit, junitText(summary)))
      }
      if (summary && series && flags.report !== undefined) {
        const page = async (): Promise<string> =>
          (await import('./report/page.ts')).reportPage(summary, series.points())
        await attempt(
          '--report',
          flags.report,
          page().then(text => writeWhole(flags.report as string, text)),
        )
      }
      const unpushed = await push?.close()
      if (unpushed) troubles.push(`--metrics-push: the last push failed: ${unpushed}`)
      await server?.close()
      return troubles
    },
  }
}

async function pushTo(
  flags: OutputFlags & { metricsPush: string },
  exposition: Exposition,
  stderr: CommandContext['stderr'],
): Promise<MetricsPush> {
  const { createMetricsPush } = await import('./metrics-push.ts')
  return createMetricsPush(flags, exposition.text, line => void stderr.write(line))
}

async function serve(exposition: Exposition, flags: OutputFlags): Promise<AdminServer> {
  const port = Number(flags.metricsPort)
  if (!/^\d{1,5}$/.test(flags.metricsPort ?? '') || port > 65_535) {
    throw new BadUsage([`--metrics-port: expected a port, got ${JSON.stringify(flags.metricsPort)}`])
  }
  try {
    const { createAdminServer } = await import('../../admin/index.ts')
    return await createAdminServer({
      host: flags.metricsHost ?? '127.0.0.1',
      port,
      flag: '--metrics-port',
      missing: () => [],
      metrics: exposition.text,
    })
  } catch (error) {
    throw new RunFailed((error as Error).message)
  }
}
