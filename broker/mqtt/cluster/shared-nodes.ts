// Which nodes have members of which shared subscriptions, as each tells the others. Pure but for what it is told.

export function createSharedNodes(parts: { setElsewhere(asked: string, nodes: readonly number[]): void }) {
  const byNode = new Map<number, ReadonlySet<string>>()

  function tell(asked: string): void {
    const nodes = [...byNode].filter(([, groups]) => groups.has(asked)).map(([node]) => node)
    parts.setElsewhere(asked, nodes)
  }

  return {
    /** All that the node has members of now. */
    set(node: number, groups: readonly string[]): void {
      const before = byNode.get(node) ?? new Set()
      const now = new Set(groups)
      if (now.size > 0) byNode.set(node, now)
      else byNode.delete(node)
      for (const asked of new Set([...before, ...now])) if (before.has(asked) !== now.has(asked)) tell(asked)
    },
    nodes: () => [...byNode.keys()],
  }
}
