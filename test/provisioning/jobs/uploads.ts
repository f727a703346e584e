// Imports as tests ask for them over the API.
import assert from 'node:assert/strict'
import { until } from '../../cli/running.ts'
import type { Service } from '../harness.ts'

export type Line = {
  row: number
  deviceId: string | null
  outcome: string
  reason?: string
  fingerprint?: string
}

/** Sends a body to be imported. */
export const upload = (service: Service, body: string, query = '', type = 'application/x-ndjson') =>
  service.call('POST', `/v1/jobs${query}`, undefined, { raw: body, headers: { 'content-type': type } })

export const lines = (rows: readonly object[]) => rows.map(row => `${JSON.stringify(row)}\n`).join('')

/** Imports rows to the end, and gives the job and what became of each row. */
export async function imported(
  service: Service,
  rows: string | readonly object[],
  query = '',
  type?: string,
) {
  const added = await upload(service, typeof rows === 'string' ? rows : lines(rows), query, type)
  assert.equal(added.status, 202, added.text)
  assert.equal(added.headers['location'], `/v1/jobs/${added.body.id}`)
  await until(
    async () => (await service.call('GET', `/v1/jobs/${added.body.id}`)).body.state === 'done',
    'it is done',
  )
  const results = await service.call('GET', `/v1/jobs/${added.body.id}/results`)
  const job = (await service.call('GET', `/v1/jobs/${added.body.id}`)).body
  return {
    job,
    results: results.text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Line),
  }
}

export const told = (results: Line[]) =>
  results.map(({ deviceId, outcome, reason }) => [deviceId, reason ?? outcome])
