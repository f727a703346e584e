// `--agents HOST:PORT=FINGERPRINT,…` and `--trust`: which agents take part, and how they are known. Pure.

/** `name` is `HOST:PORT` as it was written. */
export type AgentAddress = { name: string; host: string; port: number; fingerprint: string }

const AGENTS_MAX = 64
const FINGERPRINT = /^[0-9a-f]{64}$/
const HOST_AND_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/

/** `problems` gets a line for each that cannot be meant. */
export function readAgentAddresses(text: string, problems: string[]): AgentAddress[] {
  const agents = text.split(',').flatMap(one => {
    const [name = '', print = ''] = one.trim().split('=')
    const where = readHostAndPort(name)
    const fingerprint = readFingerprint(print)
    if (where && where.port > 0 && fingerprint !== null) return [{ name, ...where, fingerprint }]
    problems.push(
      `--agents: expected HOST:PORT=FINGERPRINT of each agent, with commas, got ${JSON.stringify(one)}`,
    )
    return []
  })
  if (agents.length > AGENTS_MAX) problems.push(`--agents: ${agents.length}, more than ${AGENTS_MAX}`)
  for (const [index, { name }] of agents.entries()) {
    if (agents.findIndex(other => other.name === name) !== index) problems.push(`--agents: ${name} twice`)
  }
  return agents
}

/** Colons and capitals as openssl writes them are taken. Null for anything else. */
export function readFingerprint(text: string): string | null {
  const plain = text.trim().replaceAll(':', '').toLowerCase()
  return FINGERPRINT.test(plain) ? plain : null
}

/** An IPv6 address stands in brackets. Null for anything else. */
export function readHostAndPort(text: string): { host: string; port: number } | null {
  const [, six, name, port = ''] = HOST_AND_PORT.exec(text) ?? []
  const host = six ?? name
  return host !== undefined && Number(port) <= 65_535 ? { host, port: Number(port) } : null
}
