// The password file of libpq (PostgreSQL 15, 34.16): hostname:port:database:username:password, the first line that matches.

/** The password of a connection, or null where no line is about it. A Unix socket is `localhost` there. */
export function passwordFromFile(
  text: string,
  wanted: { host: string; port: number; database: string; user: string },
): string | null {
  const host = wanted.host.startsWith('/') ? 'localhost' : wanted.host
  const asked = [host, String(wanted.port), wanted.database, wanted.user]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = fieldsOf(line)
    if (fields.length < asked.length + 1) continue
    if (asked.every((value, index) => fields[index] === '*' || fields[index] === value))
      return fields[asked.length]!
  }
  return null
}

/** Split at colons; a backslash makes the next character part of the field. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/((?:\\.|[^:\\])*\\?)(?::|$)/g)].map(match => match[1]!.replace(/\\(.)/g, '$1'))
}
