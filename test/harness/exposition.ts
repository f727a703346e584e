// The Prometheus text format, read strictly: what is no sample, no HELP and no TYPE is a fault.

export type Sample = { name: string; labels: Record<string, string>; value: number }
export type Family = { type: string; help: string }
export type Exposition = { families: Map<string, Family>; samples: Sample[] }

/** @throws where a line is none of the format, a family has no type, or a series comes twice. */
export function readExposition(text: string): Exposition {
  const families = new Map<string, Family>()
  const samples: Sample[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line)
    if (comment) {
      const [, kind, name = '', rest = ''] = comment
      const family = families.get(name) ?? { type: '', help: '' }
      families.set(name, kind === 'TYPE' ? { ...family, type: rest } : { ...family, help: rest })
      continue
    }
    const [, name = '', inner = '', value = ''] =
      /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (NaN|Nan|[+-]?Inf|[-+\d.e]+)$/.exec(line) ?? []
    if (name === '') throw new Error(`no sample: ${line}`)
    const labels = Object.fromEntries(
      [...inner.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text]),
    ) as Record<string, string>
    const family = familyOf(name, families)
    if (!families.get(family)?.type) throw new Error(`${name} has no type`)
    const sample = { name, labels, value: Number(value.replace('Inf', 'Infinity')) }
    const series = seriesOf(sample)
    if (seen.has(series)) throw new Error(`${series} comes twice`)
    seen.add(series)
    samples.push(sample)
  }
  return { families, samples }
}

/** A sample's name with its labels in order. */
export function seriesOf({ name, labels }: Sample): string {
  const sorted = Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1))
  return `${name}{${sorted.map(([label, value]) => `${label}="${value}"`).join(',')}}`
}

/** `x_bucket`, `x_sum` and `x_count` belong to the histogram `x`. */
export function familyOf(name: string, families: ReadonlyMap<string, unknown>): string {
  return families.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '')
}
