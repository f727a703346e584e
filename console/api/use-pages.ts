// A long list, page by page: the first as soon as its question is asked, more when the reader wants them.
import { useCallback, useEffect, useState } from 'react'
import type { Page } from '../../client/types.ts'
import { ask } from './request.ts'
import { useQuery } from './use-query.ts'

export type Pages<T> = {
  items: T[]
  /** How many there are; null where the question did not ask. */
  total: { count: number; exact: boolean } | null
  failure: unknown
  loading: boolean
  /** Null at the end of the list. */
  more: (() => void) | null
  fetching: boolean
  refetch: () => void
}

export function usePages<T>(path: string | null, options: { everyMs?: number } = {}): Pages<T> {
  const [rest, setRest] = useState<{ from: Page<T> | null; items: T[]; next: string | null }>({
    from: null,
    items: [],
    next: null,
  })
  // A reader of later pages is not thrown back to the first page by a refresh.
  const first = useQuery<Page<T> & { total?: { count: number; exact: boolean } }>(
    path,
    rest.items.length > 0 ? {} : options,
  )
  const [fetching, setFetching] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)

  // What follows belongs to the first page it followed: another question begins anew.
  useEffect(() => {
    setRest({ from: first.data, items: [], next: first.data?.nextCursor ?? null })
    setFailure(null)
  }, [first.data])

  const next = rest.from === first.data ? rest.next : (first.data?.nextCursor ?? null)
  const more = useCallback(async () => {
    if (path === null || next === null) return
    setFetching(true)
    try {
      const page = await ask<Page<T>>(
        `${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(next)}`,
      )
      setRest(former =>
        former.from === first.data
          ? { ...former, items: [...former.items, ...page.items], next: page.nextCursor }
          : former,
      )
      setFailure(null)
    } catch (error) {
      setFailure(error)
    } finally {
      setFetching(false)
    }
  }, [path, next, first.data])

  return {
    items: first.data === null ? [] : [...first.data.items, ...(rest.from === first.data ? rest.items : [])],
    total: first.data?.total ?? null,
    failure: first.failure ?? failure,
    loading: first.loading,
    more: next === null ? null : more,
    fetching,
    refetch: first.refetch,
  }
}
