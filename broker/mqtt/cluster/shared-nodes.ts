// Which nodes have ended, and which have members of which shared subscriptions, as each tells the others. Of one that has ended that is
// still known, for its sessions come to other nodes: where no living node has members, messages are for theirs.
import type { GroupChange } from './control.ts'

/** Of one node: more than its devices can subscribe to. What is beyond is not noted. */
const GROUPS_MAX = 1_000_000

export function createSharedNodes(parts: { setElsewhere(asked: string, nodes: readonly number[]): void }) {
  const byNode = new Map<number, Set<string>>()
  const ended = new Set<number>()

  function tell(asked: string): void {
    const all = [...byNode].filter(([, groups]) => groups.has(asked)).map(([node]) => node)
    const living = all.filter(node => !ended.has(node))
    parts.setElsewhere(asked, living.length > 0 ? living : all)
  }

  function change(node: number, { startsAnew, joined, left }: GroupChange): void {
    const groups = byNode.get(node) ?? new Set()
    const changed = new Set<string>()
    const kept = new Set(joined)
    const gone = startsAnew ? [...groups].filter(asked => !kept.has(asked)) : left
    for (const asked of gone) if (groups.delete(asked)) changed.add(asked)
    for (const asked of joined)
      if (groups.size < GROUPS_MAX && !groups.has(asked)) {
        groups.add(asked)
        changed.add(asked)
      }
    if (groups.size > 0) byNode.set(node, groups)
    else byNode.delete(node)
    for (const asked of changed) tell(asked)
  }

  return {
    change,
    /** It has ended. Gives whether that is news. */
    end(node: number): boolean {
      if (ended.has(node)) return false
      ended.add(node)
      for (const asked of byNode.get(node) ?? []) tell(asked)
      return true
    },
    /** All others have ended, and their sessions are with these. */
    forgetOthers(known: ReadonlySet<number>): void {
      for (const node of new Set([...byNode.keys(), ...ended])) {
        if (known.has(node)) continue
        change(node, { startsAnew: true, joined: [], left: [] })
        ended.delete(node)
      }
    },
    hasEnded: (node: number) => ended.has(node),
  }
}
