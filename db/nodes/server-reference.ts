// A Server Reference of MQTT 5 (§4.11): the servers that clients are told of, with a blank between them. Pure.

const REFERENCES_MAX = 16
const REFERENCE = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:[1-9][0-9]{0,4})?$/

/** Gives what is written as a list of servers; throws where it is none. */
export function serverReference(text: string): string[] {
  const servers = text.split(' ').filter(server => server !== '')
  if (servers.length > REFERENCES_MAX) throw new Error(`more than ${REFERENCES_MAX} servers`)
  const wrong = servers.find(
    server => !REFERENCE.test(server) || Number(/:(\d+)$/.exec(server)?.[1] ?? 1) > 65_535,
  )
  if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} is no host or host:port`)
  return servers
}
