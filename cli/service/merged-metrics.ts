// Several Prometheus text expositions as one. A family may stand in an exposition once only, so families that more
// than one process has are joined; samples that would be the same series are told apart by a `service` label.

type Family = { comments: Map<string, string>; samples: { service: string; line: string }[] }

/** Merges expositions (text format 0.0.4). A series that one service alone has keeps its labels as they are. */
export function mergeMetrics(parts: readonly { service: string; text: string }[]): string {
  const families = new Map<string, Family>()
  for (const { service, text } of parts) readInto(families, service, text)
  return [...families.values()].map(written).join('')
}

function readInto(families: Map<string, Family>, service: string, text: string): void {
  let current: { name: string; family: Family } | null = null
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) (\S+)/.exec(line)
    if (comment?.[1] && comment[2]) {
      current = { name: comment[2], family: familyOf(families, comment[2]) }
      if (!current.family.comments.has(comment[1])) current.family.comments.set(comment[1], line)
      continue
    }
    if (line.startsWith('#')) continue
    const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0]
    if (!name) continue
    // `x_bucket`, `x_sum` and `x_count` belong to the histogram `x` that was announced before them.
    const belongs = current !== null && (name === current.name || name.startsWith(`${current.name}_`))
    const family = belongs && current ? current.family : familyOf(families, name)
    family.samples.push({ service, line })
  }
}

function familyOf(families: Map<string, Family>, name: string): Family {
  const known = families.get(name)
  if (known) return known
  const family: Family = { comments: new Map(), samples: [] }
  families.set(name, family)
  return family
}

function written({ comments, samples }: Family): string {
  const services = new Map<string, Set<string>>()
  for (const { service, line } of samples)
    services.set(seriesOf(line), (services.get(seriesOf(line)) ?? new Set()).add(service))
  const lines = samples.map(({ service, line }) =>
    (services.get(seriesOf(line))?.size ?? 0) > 1 ? labelled(line, service) : line,
  )
  return [...comments.values(), ...lines].map(line => `${line}\n`).join('')
}

/** A sample without its value. */
function seriesOf(line: string): string {
  return line.slice(0, line.lastIndexOf(' '))
}

function labelled(line: string, service: string): string {
  const label = `service="${service}"`
  const withLabels = /^([a-zA-Z_:][a-zA-Z0-9_:]*)\{/.exec(line)
  if (withLabels) {
    const rest = line.slice(withLabels[0].length)
    return `${withLabels[1]}{${label}${rest.startsWith('}') ? '' : ','}${rest}`
  }
  return line.replace(/^([a-zA-Z_:][a-zA-Z0-9_:]*)/, `$1{${label}}`)
}
