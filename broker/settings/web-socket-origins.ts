// Which browser pages may open a WebSocket (RFC 6455 §10.2). A browser sends the origin of its page, and a client certificate
// that its user chose for another site: a page that the operator did not list must not use it for MQTT. Pure.

/** Decides by the `Origin` and `Host` headers of a request. */
type OriginPolicy = (origin: string | undefined, host: string | undefined) => boolean

/**
 * Takes requests without an origin, as devices send them; those whose origin is the server itself, as Paho's libraries say though
 * they are no browsers; and origins in the list (`https://console.example:8443`), separated by commas. Throws an Error that names
 * an entry that is none.
 */
export function createOriginPolicy(list: string): OriginPolicy {
  const listed = new Set(
    list
      .split(',')
      .map(entry => entry.trim())
      .filter(entry => entry !== '')
      .map(entry => {
        const origin = originOf(entry)
        if (origin === null || origin !== entry.toLowerCase())
          throw new Error(`${JSON.stringify(entry)} is no origin such as https://console.example:8443`)
        return origin
      }),
  )
  return (origin, host) => {
    if (origin === undefined) return true
    const asked = originOf(origin)
    if (asked === null) return false // `null`, as sandboxed pages and files send it, or no origin at all
    return listed.has(asked) || (host !== undefined && asked === originOf(`https://${host}`))
  }
}

/** The origin of a URL (RFC 6454 §6.2): scheme, host, and the port where it is not the scheme's own; null for none. */
function originOf(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null
  return url === null || url.origin === 'null' ? null : url.origin
}
