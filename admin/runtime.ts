// The JavaScript runtime of this process: Node, or Bun for the broker alone (ADR 0058).

const bunVersion = process.versions['bun']

export const onBun = bunVersion !== undefined

/** Name and version, such as `node 26.10.0`. */
export const runtimeName = onBun ? `bun ${bunVersion}` : `node ${process.versions.node}`
