// The Prometheus endpoint: what a run counted, under the names that the documents give, on loopback unless told otherwise.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { BadUsage } from '../../../device-sim/failure.ts'
import { createExposition } from '../../../device-sim/output/exposition.ts'
import { type OutputFlags, openOutputs } from '../../../device-sim/output/outputs.ts'
import { latencies, sampleOf } from '../fakes/results.ts'

const open = async (flags: OutputFlags) => {
  const stderr = new PassThrough()
  const outputs = await openOutputs(flags, { stderr: stderr as never, env: {} })
  const url = /metrics: (\S+)\n/.exec(String(stderr.read() ?? ''))?.[1] ?? ''
  return { ...outputs, url }
}

describe('the metrics of a run', () => {
  it('add up over its seconds, and tell the latest one', async () => {
    const outputs = await open({ metricsPort: '0' })
    try {
      assert.match(outputs.url, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
      const refusals = { connack_5: { expected: 2, unexpected: 1 } }
      for (const listener of outputs.listeners) {
        listener.sample?.(sampleOf(1, { refusals, stage: 'ramp', wronglyRefused: 1 }))
        listener.sample?.(sampleOf(2, { refusals, stage: 'run', deliverMs: latencies(250) }))
      }
      const text = await (await fetch(outputs.url)).text()
      for (const line of [
        'rollcall_sim_devices{state="connected"} 10',
        'rollcall_sim_stage{stage="run"} 1',
        'rollcall_sim_refusals_total{saw="connack_5",expected="true"} 4',
        'rollcall_sim_refusals_total{saw="connack_5",expected="false"} 2',
        'rollcall_sim_wrongly_admitted_total 0',
        'rollcall_sim_wrongly_refused_total 1',
        'rollcall_sim_messages_total{qos="1",event="sent"} 200',
        'rollcall_sim_latency_seconds{of="deliver",quantile="0.99"} 0.25',
      ]) {
        assert.ok(text.includes(`${line}\n`), `${line} in\n${text}`)
      }
      assert.ok(!text.includes('stage="ramp"'))
      assert.ok(!text.includes('of="connect"'), 'nothing was measured')
    } finally {
      await outputs.close(null)
    }
    await assert.rejects(fetch(outputs.url))
  })

  it('are those in the documents', async () => {
    const page = readFileSync(new URL('../../../docs/simulator.md', import.meta.url), 'utf8')
    const names = (text: string, pattern: RegExp) =>
      [...text.matchAll(pattern)].map(match => match[1]).toSorted()
    const exposition = createExposition()
    assert.deepEqual(
      names(page, /^\| `(rollcall_sim_\w+)/gm),
      names(await exposition.text(), /^# TYPE (\S+)/gm),
    )
  })

  it('are refused a port that is none or taken, before anything is sent', async () => {
    for (const metricsPort of ['x', '65536', '-1']) {
      await assert.rejects(open({ metricsPort }), /--metrics-port: expected a port/)
    }
    const taken = createServer().listen(0, '127.0.0.1')
    try {
      await new Promise(resolve => taken.once('listening', resolve))
      const { port } = taken.address() as { port: number }
      await assert.rejects(open({ metricsPort: String(port) }), /in use.*--metrics-port/)
    } finally {
      taken.close()
    }
  })
})

describe('metrics that are pushed', () => {
  async function gateway(t: TestContext, status: number) {
    const pushed: { path: string; type: string; token: string; text: string }[] = []
    const server = createHttpServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      pushed.push({
        path: `${request.method} ${request.url}`,
        type: request.headers['content-type'] ?? '',
        token: request.headers.authorization ?? '',
        text: Buffer.concat(chunks).toString(),
      })
      response.writeHead(status).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(async () => {
      server.close()
      await once(server, 'close')
    })
    const { port } = server.address() as AddressInfo
    return { pushed, url: `http://127.0.0.1:${port}/metrics/job/load` }
  }

  it('arrive with their token, at the end in any case', async t => {
    const { pushed, url } = await gateway(t, 200)
    const file = join(mkdtempSync(join(tmpdir(), 'push-')), 'token')
    writeFileSync(file, 'secret\n')
    const outputs = await open({ metricsPush: url, metricsPushTokenFile: file })
    for (const listener of outputs.listeners) listener.sample?.(sampleOf(1))
    assert.deepEqual(await outputs.close(null), [])
    const [last] = pushed
    assert.deepEqual(
      [pushed.length, last?.path, last?.type, last?.token],
      [1, 'POST /metrics/job/load', 'text/plain; version=0.0.4; charset=utf-8', 'Bearer secret'],
    )
    assert.match(last?.text ?? '', /^rollcall_sim_devices\{state="connected"\} 10$/m)
  })

  it('that did not arrive at the end are a trouble', async t => {
    const { url } = await gateway(t, 503)
    const refused = await open({ metricsPush: url })
    assert.deepEqual(await refused.close(null), ['--metrics-push: the last push failed: answered 503'])
    const absent = await open({ metricsPush: 'http://127.0.0.1:1/' })
    assert.match((await absent.close(null))[0] ?? '', /the last push failed: was not reached: /)
  })

  it('are refused a URL that will not do, before anything is sent', async () => {
    for (const metricsPush of ['ftp://h/', 'gateway', 'http://user:secret@h/']) {
      await assert.rejects(open({ metricsPush }), (error: BadUsage) => {
        assert.match(error.problems[0] ?? '', /^--metrics-push: /)
        return !error.problems[0]?.includes('user:secret@') || metricsPush === ''
      })
    }
    await assert.rejects(open({ metricsPushTokenFile: 'x' }), BadUsage)
    await assert.rejects(open({ metricsPush: 'http://h/', metricsPushTokenFile: '/nowhere' }), BadUsage)
  })
})
