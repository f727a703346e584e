// A Map of what comes and goes by the thousand, such as connections: what is deleted is let go at once. V8 links each former table of a Map or
// Set to the next. Once one of them is old, all later ones stay until the next full collection, and with them whatever they held.

/** In order of insertion, as a Map. */
export class ReleasingMap<Key, Value extends object> {
  readonly #entries = new Map<Key, { value: Value | undefined }>()

  get size(): number {
    return this.#entries.size
  }

  get(key: Key): Value | undefined {
    return this.#entries.get(key)?.value
  }

  set(key: Key, value: Value): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) this.#entries.set(key, { value })
    else entry.value = value
  }

  /** False where there was none. */
  delete(key: Key): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    entry.value = undefined
    return this.#entries.delete(key)
  }

  clear(): void {
    for (const entry of this.#entries.values()) entry.value = undefined
    this.#entries.clear()
  }

  *values(): Generator<Value> {
    for (const { value } of this.#entries.values()) if (value !== undefined) yield value
  }
}
