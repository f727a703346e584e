// What this node published and other nodes need: types alone.
/** A message of this node, on its way into the log. */
export type Logged = {
  number: number
  /** Of the engine here; null of one that is passed on. */
  sequence: number | null
  topic: string
  isRetained: boolean
  isRemoval: boolean
  /** Those whose members of a shared subscription get it. */
  nodes: readonly number[]
  bytes: Buffer
}
