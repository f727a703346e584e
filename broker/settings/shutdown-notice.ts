// The settings of the DISCONNECT that clients of MQTT 5 get when the broker stops: its kinds, and the list of other servers. Pure.

export const shutdownNotices = ['none', 'server_shutting_down', 'use_another_server', 'server_moved'] as const
export type ShutdownNotice = (typeof shutdownNotices)[number]

const REFERENCES_MAX = 16
const REFERENCE = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:[1-9][0-9]{0,4})?$/

/** Gives what is written as a list of servers; throws where it is none (§4.11). */
export function serverReference(text: string): string[] {
  const servers = text.split(' ').filter(server => server !== '')
  if (servers.length > REFERENCES_MAX) throw new Error(`more than ${REFERENCES_MAX} servers`)
  const wrong = servers.find(
    server => !REFERENCE.test(server) || Number(/:(\d+)$/.exec(server)?.[1] ?? 1) > 65_535,
  )
  if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} is no host or host:port`)
  return servers
}
