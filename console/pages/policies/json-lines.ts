// JSON with the line on which each of its values begins, by path (`statements[0].topics[1]`), or where it is no JSON.
// JSON.parse says neither in the same way in every browser.

type ReadJson =
  | { value: unknown; lines: ReadonlyMap<string, number> }
  | { fault: { line: number; message: string } }

const DEPTH_MAX = 20

class Fault extends Error {}

export function readJson(text: string): ReadJson {
  let at = 0
  const lines = new Map<string, number>()
  let line = 1
  const stop = (message: string): never => {
    throw new Fault(message)
  }
  const blanks = () => {
    // Lines end nowhere else: a text has no bare line break.
    for (; /[ \t\r\n]/.test(text[at] ?? ''); at += 1) if (text[at] === '\n') line += 1
  }
  const what = () => (at >= text.length ? 'the text ends here' : `not ${JSON.stringify(text[at])}`)

  function string(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON allows none inside a text (RFC 8259 §7)
    const match = /^"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/.exec(text.slice(at))
    if (match === null) return stop('a text begins here and does not end on its line')
    at += match[0].length
    return JSON.parse(match[0]) as string
  }

  function value(path: string, depth: number): unknown {
    if (depth > DEPTH_MAX) stop('this is nested too deeply')
    blanks()
    lines.set(path, line)
    const first = text[at]
    if (first === '{') return members(path, depth)
    if (first === '[') return items(path, depth)
    if (first === '"') return string()
    const match = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(text.slice(at))
    if (match === null) return stop(`a value is expected here, ${what()}`)
    at += match[0].length
    return JSON.parse(match[0])
  }

  function members(path: string, depth: number): unknown {
    const entries: [string, unknown][] = []
    at += 1
    for (blanks(); text[at] !== '}'; blanks()) {
      if (entries.length > 0) {
        if (text[at] !== ',') stop(`a comma or } is expected here, ${what()}`)
        at += 1
        blanks()
      }
      if (text[at] !== '"') stop(`the name of a field in quotes is expected here, ${what()}`)
      const name = string()
      blanks()
      if (text[at] !== ':') stop(`a colon is expected here, ${what()}`)
      at += 1
      if (entries.some(([known]) => known === name)) stop(`${JSON.stringify(name)} is there twice`)
      entries.push([name, value(path === '' ? name : `${path}.${name}`, depth + 1)])
    }
    at += 1
    return Object.fromEntries(entries)
  }

  function items(path: string, depth: number): unknown {
    const found: unknown[] = []
    at += 1
    for (blanks(); text[at] !== ']'; blanks()) {
      if (found.length > 0) {
        if (text[at] !== ',') stop(`a comma or ] is expected here, ${what()}`)
        at += 1
      }
      found.push(value(`${path}[${found.length}]`, depth + 1))
    }
    at += 1
    return found
  }

  try {
    const read = value('', 0)
    blanks()
    if (at < text.length) stop(`nothing more is expected here, ${what()}`)
    return { value: read, lines }
  } catch (error) {
    if (error instanceof Fault) return { fault: { line, message: error.message } }
    throw error
  }
}
