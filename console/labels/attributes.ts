// Attributes and groups as people type them, and back.

/** What is wrong, in words, where a line is no attribute. */
export function parseAttributes(text: string): Record<string, string> | string {
  const found: Record<string, string> = {}
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const at = line.indexOf('=')
    const name = line.slice(0, at).trim()
    if (at < 1 || name === '') return `Line ${index + 1} is not name=value.`
    if (Object.hasOwn(found, name)) return `Line ${index + 1} names ${name} again.`
    found[name] = line.slice(at + 1).trim()
  }
  return found
}

export function formatAttributes(attributes: Record<string, string>): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')
}

export function parseGroups(text: string): string[] {
  return [
    ...new Set(
      text
        .split(',')
        .map(group => group.trim())
        .filter(Boolean),
    ),
  ]
}
