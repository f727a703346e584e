// `devices/${device}/telemetry`: what a template names, and what it becomes for one device.
// Pure. Does not know what the text is used for.

/** The names between `${` and `}`. */
export function variablesOf(template: string): string[] {
  return [...template.matchAll(/\$\{([^}]*)\}/g)].map(match => match[1] ?? '')
}

type Facts = { device: string; n: string; group: string; attributes: Record<string, string> }

/** Fills in the facts of a device; an unknown name stays, for `createTopic` to fill in later. */
export function filled(template: string, facts: Facts): string {
  return template.replaceAll(/\$\{([^}]*)\}/g, (whole, name: string) => {
    if (name === 'device') return facts.device
    if (name === 'n') return facts.n
    if (name === 'number') return String(Number(facts.n))
    if (name === 'group') return facts.group
    return name.startsWith('attr.') ? (facts.attributes[name.slice(5)] ?? whole) : whole
  })
}

/** The number of the message among those of its device and topic. */
const SEQ = '$' + '{seq}'

/** `${any:GROUP}` and `${each:GROUP}` become the device IDs of that group: one by chance, or one after the other. */
export function createTopic(
  template: string,
  idsOf: (group: string) => { count: number; at(index: number): string },
): (turn: number, random: () => number) => string {
  const name = variablesOf(template).find(variable => /^(any|each):/.test(variable))
  if (name === undefined) return turn => template.replaceAll(SEQ, String(turn + 1))
  const ids = idsOf(name.slice(name.indexOf(':') + 1))
  const each = name.startsWith('each:')
  return (turn, random) => {
    const index = each ? turn % ids.count : Math.floor(random() * ids.count)
    return template.replaceAll(`\${${name}}`, ids.at(index)).replaceAll(SEQ, String(turn + 1))
  }
}
