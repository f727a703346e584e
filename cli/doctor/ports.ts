// The ports: of a service that runs, whether it answers on them; of one that does not, whether it could have them.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import { dataPaths, readEndpoints } from '../data-directory.ts'
import { type CheckContext, type Finding, fail, ok, warn } from './finding.ts'

const ANSWER_MS = 3_000

export async function checkPorts(context: CheckContext): Promise<Finding[]> {
  const endpoints = readEndpoints(context.data)
  const isUp = context.running.some(({ job }) => job === 'up')
  if (isUp && endpoints !== null) {
    const ca = readFileSync(dataPaths(context.data).ca)
    return [
      await answers('devices', new URL(endpoints.mqtts), ca),
      await answers('operators', new URL(endpoints.api), ca),
      await isReady(endpoints.admin),
    ]
  }
  const named = Object.entries(context.ports).filter(([, port]) => port !== 0)
  const free = await Promise.all(
    named.map(([name, port]) => isFree(name, name === 'admin' ? '127.0.0.1' : context.host, port)),
  )
  // The process that listens on a port may be a broker or provisioning service that runs alone.
  return context.running.length === 0 ? free : free.map(finding => softened(finding))
}

function softened(finding: Finding): Finding {
  return finding.verdict === 'ok' ? finding : { ...finding, verdict: 'ok', todo: null }
}

function answers(audience: string, url: URL, ca: Buffer): Promise<Finding> {
  const check = `port for ${audience}`
  return new Promise(resolve => {
    const done = (finding: Finding) => {
      socket.destroy()
      resolve(finding)
    }
    const socket = connect(
      { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port), ca, timeout: ANSWER_MS },
      () => done(ok(check, `${url.host} answers, and its certificate is good`)),
    )
    const todo = 'its log says why; the server certificate is checked above'
    socket.once('timeout', () => done(fail(check, `${url.host} does not answer`, todo)))
    socket.once('error', error => done(fail(check, `${url.host}: ${error.message}`, todo)))
  })
}

async function isReady(admin: string): Promise<Finding> {
  try {
    const answer = await fetch(`${admin}/readyz`, { signal: AbortSignal.timeout(ANSWER_MS) })
    const text = (await answer.text()).trim().replaceAll('\n', '; ')
    return answer.ok ? ok('ready', text) : fail('ready', text, 'the log says what it waits for')
  } catch (error) {
    return fail(
      'ready',
      `${admin}: ${(error as Error).message}`,
      'the process hangs or ended: look at its log',
    )
  }
}

/** Had for a moment and given back. */
function isFree(name: string, host: string, port: number): Promise<Finding> {
  const check = `port for ${name}`
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(taken(check, host, port, error.code ?? '')),
    )
    server.listen(port, host, () => server.close(() => resolve(ok(check, `${host} port ${port} is free`))))
  })
}

function taken(check: string, host: string, port: number, code: string): Finding {
  if (code === 'EADDRINUSE') {
    return fail(
      check,
      `${host} port ${port} is in use`,
      `stop the process that listens there (ss -ltnp), or choose another port`,
    )
  }
  if (code === 'EACCES') {
    const todo = 'choose one above 1023, or give the service CAP_NET_BIND_SERVICE'
    return fail(check, `${host} port ${port} needs privileges`, todo)
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return fail(check, `${host} is no address of this machine`, 'name another with --host')
  }
  return warn(check, `${host} port ${port}: ${code}`, 'try another')
}
