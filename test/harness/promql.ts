// What a PromQL expression asks for: its selectors with their matchers, and the labels it groups by. Read with the grammar of
// Prometheus itself.
import { parser } from '@prometheus-io/lezer-promql'

export type Matcher = { label: string; operator: string; value: string }
export type Selector = { metric: string; matchers: Matcher[] }
export type Expression = { selectors: Selector[]; grouping: string[] }

/** @throws where it is no PromQL. */
export function readPromql(text: string): Expression {
  const selectors: Selector[] = []
  const grouping: string[] = []
  parser.parse(text).iterate({
    enter(node) {
      const own = text.slice(node.from, node.to)
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${text}`)
      if (node.name === 'VectorSelector')
        selectors.push({ metric: /^[\w:]*/.exec(own)?.[0] ?? '', matchers: [] })
      if (node.name === 'UnquotedLabelMatcher') {
        const [, label = '', operator = '', value = ''] = /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(own) ?? []
        if (label === '') throw new Error(`no matcher: ${own}`)
        selectors.at(-1)?.matchers.push({ label, operator, value })
      }
      if (node.name === 'LabelName' && node.node.parent?.name === 'GroupingLabels') grouping.push(own)
    },
  })
  if (selectors.length === 0) throw new Error(`it asks for nothing: ${text}`)
  return { selectors, grouping }
}
