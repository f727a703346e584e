// All devices that match a filter, page by page, up to a number that can be changed from here.
import type { Page } from '../../../client/types.ts'
import { ask, query } from '../../api/request.ts'
import type { ListedDevice } from '../../api/response-types.ts'

/** More at once are a matter for the command line, which can be left alone. */
export const BULK_MAX = 2_000
const PAGE_SIZE = 500

export type Selection = { devices: readonly ListedDevice[]; complete: boolean }

/** `complete` is false where there are more than can be done here. */
export async function matching(
  filter: Record<string, string | null>,
  signal: AbortSignal,
): Promise<Selection> {
  const devices: ListedDevice[] = []
  let cursor: string | null = null
  do {
    const path = `/v1/devices${query({ ...filter, limit: PAGE_SIZE, cursor })}`
    const page: Page<ListedDevice> = await ask(path, { signal })
    devices.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null && devices.length < BULK_MAX)
  return { devices: devices.slice(0, BULK_MAX), complete: cursor === null && devices.length <= BULK_MAX }
}
