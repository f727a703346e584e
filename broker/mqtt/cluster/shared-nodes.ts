// Which nodes have members of which shared subscriptions, as each tells the others. Of one that has ended that is still known, for its
// sessions come to other nodes: where no living node has members, messages are for theirs. Pure but for what it is told.

export function createSharedNodes(parts: { setElsewhere(asked: string, nodes: readonly number[]): void }) {
  const byNode = new Map<number, ReadonlySet<string>>()
  const ended = new Set<number>()

  function tell(asked: string): void {
    const all = [...byNode].filter(([, groups]) => groups.has(asked)).map(([node]) => node)
    const living = all.filter(node => !ended.has(node))
    parts.setElsewhere(asked, living.length > 0 ? living : all)
  }

  /** All that the node has members of now. */
  function set(node: number, groups: readonly string[]): void {
    const before = byNode.get(node) ?? new Set()
    const now = new Set(groups)
    if (now.size > 0) byNode.set(node, now)
    else byNode.delete(node)
    for (const asked of new Set([...before, ...now])) if (before.has(asked) !== now.has(asked)) tell(asked)
  }

  return {
    set,
    /** It has ended. */
    end(node: number): void {
      if (ended.has(node)) return
      ended.add(node)
      for (const asked of byNode.get(node) ?? []) tell(asked)
    },
    /** It has ended, and its sessions are with others. */
    forget(node: number): void {
      set(node, [])
      ended.delete(node)
    },
    hasEnded: (node: number) => ended.has(node),
    nodes: () => [...byNode.keys()],
  }
}
