// What an earlier run that was killed may have left: devices of ours that are still suspended are activated again.
// Refuses to touch a device that does not take part.
import type { Api } from '../enrollment/api.ts'

type Page = { items?: { id: string }[]; nextCursor?: string | null }

const PAGES_MAX = 1_000

/** @returns how many were activated. */
export async function activateSuspended(api: Api, ids: readonly string[], prefix: string): Promise<number> {
  const own = new Set(ids)
  const suspended: string[] = []
  let cursor: string | null = null
  for (let page = 0; page < PAGES_MAX; page++) {
    const query = new URLSearchParams({
      state: 'suspended',
      prefix,
      limit: '500',
      ...(cursor ? { cursor } : {}),
    })
    const answer = await api.call<Page>('GET', `/v1/devices?${query}`)
    if (answer.problem) break
    suspended.push(...(answer.body.items ?? []).map(({ id }) => id).filter(id => own.has(id)))
    cursor = answer.body.nextCursor ?? null
    if (cursor === null) break
  }
  for (const id of suspended) await api.call('POST', `/v1/devices/${id}/activate`)
  return suspended.length
}
