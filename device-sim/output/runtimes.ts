// Which runtimes the workers of a run were on, here or on its agents. Pure.
import type { RunFacts } from '../results/summary.ts'

/** Each once: `node 26.10.0`, `bun 1.4.5`. */
export function runtimesOf({ tool, agents = [] }: Pick<RunFacts, 'tool' | 'agents'>): string[] {
  const onNode = (version: string): string => `node ${version.replace(/^v/, '')}`
  const here = tool.runtime ?? onNode(tool.node)
  if (agents.length === 0) return [here]
  return [...new Set(agents.map(({ runtime, node }) => runtime ?? onNode(node)))]
}
