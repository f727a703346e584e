// One page of a list: the items, and the key to continue after.

/** `items` in key order; `next` is the key to continue after, or null at the end. */
export type Page<T> = { items: T[]; next: string | null }

/** Of one row more than the limit: the rows, and the key to continue after. */
export function pageOf<T>(rows: T[], limit: number, key: (row: T) => string): Page<T> {
  if (rows.length <= limit) return { items: rows, next: null }
  const items = rows.slice(0, limit)
  return { items, next: key(items[limit - 1]!) }
}
