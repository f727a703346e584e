// What sessions on several nodes must have been sent, as the steps that were answered say: pure. What was not answered may be or not.

export type Qos = 0 | 1 | 2
/** With the QoS it came at: between messages of different ones there is no order. */
export type Seen = { payload: string; qos: number }
/** `place` counts what is sent and what is acknowledged, so that it is known which was over when another began. */
type Message = { topic: string; qos: Qos; line: string; place: number; over: number }
type Session = {
  isKept: boolean
  /** By filter; null where a SUBSCRIBE or UNSUBSCRIBE was not answered. */
  filters: Map<string, Qos | null>
  must: Set<string>
  /** QoS at which each is to come, of those that come once. */
  once: Set<string>
}

export type NodesModel = ReturnType<typeof createNodesModel>

/** Topics that groups are subscribed to. */
const SHARED_TOPIC = /^devices\/s\//
const SHARED = /^\$share\/[^/]+\//

/** Of the filters of this fuzz: a topic, or a level and all below it. */
export function matches(filter: string, topic: string): boolean {
  const bare = filter.replace(SHARED, '')
  return bare.endsWith('/#') ? topic.startsWith(bare.slice(0, -1)) : bare === topic
}

export function createNodesModel() {
  const sessions = new Map<string, Session>()
  const messages = new Map<string, Message>()
  const retained = new Map<string, Set<string>>()
  let now = 0
  /** Payloads that some member of a group must have. */
  let sharedOwed = new Set<string>()
  /** Clients that may still have a session from before, and be members of groups by it. */
  const uncertain = new Set<string>()
  const forbidden = new Set<string>()

  const membersOf = (topic: string) =>
    [...sessions.values()].flatMap(session =>
      [...session.filters]
        .filter(([filter]) => SHARED.test(filter) && matches(filter, topic))
        .map(([, qos]) => ({ session, qos })),
    )

  function owe(payload: string, { topic, qos }: Message): void {
    if (qos === 0) return
    for (const { filters, must, once } of sessions.values()) {
      const asked = [...filters].filter(([filter]) => !SHARED.test(filter) && matches(filter, topic))
      if (asked.length === 0 || asked.some(([, granted]) => granted === null)) continue
      const granted = Math.min(qos, Math.max(...asked.map(([, each]) => each ?? 0)))
      if (granted > 0) must.add(payload)
      if (granted === 2) once.add(payload)
    }
    if (uncertain.size > 0) return // it may be given to such a member, and end with its session
    const members = membersOf(topic)
    if (members.length > 0 && members.every(({ session, qos: granted }) => session.isKept && granted))
      sharedOwed.add(payload)
  }

  function end(client: string): void {
    const session = sessions.get(client)
    sessions.delete(client)
    if (session !== undefined && membersLeft(session)) sharedOwed = new Set()
  }

  return {
    /** Gives whether the broker is to have a session. */
    connected(client: string, isKept: boolean): boolean {
      const isPresent = sessions.get(client)?.isKept === true && isKept
      if (!isPresent) {
        end(client)
        sessions.set(client, { isKept, filters: new Map(), must: new Set(), once: new Set() })
      }
      uncertain.delete(client)
      return isPresent
    },
    /** Its connection ended: a session that is not kept with it. */
    disconnected(client: string): void {
      if (sessions.get(client)?.isKept === false) end(client)
    },
    /** Its CONNECT was not answered: a session of it may be there, from before or new, or not. */
    unanswered(client: string): void {
      end(client)
      uncertain.add(client)
    },
    isUncertain: (client: string) => uncertain.has(client),
    /** `seen` is what has come by then. What is under way comes as the subscription is once it reaches the session: also with less QoS. */
    subscribed(client: string, filter: string, qos: Qos | null, seen: readonly Seen[]): void {
      const session = sessions.get(client)
      const before = session?.filters.get(filter)
      if (session !== undefined && before !== undefined && (qos ?? 0) < (before ?? 2))
        excuse(session, filter, seen)
      session?.filters.set(filter, qos)
    },
    unsubscribed(client: string, filter: string, isAnswered: boolean, seen: readonly Seen[]): void {
      const session = sessions.get(client)
      if (session !== undefined) excuse(session, filter, seen)
      if (isAnswered) session?.filters.delete(filter)
      else session?.filters.set(filter, null)
      if (SHARED.test(filter)) sharedOwed = new Set()
    },
    /** Before it is sent. `line` is one whose order is kept: a connection of a publisher. */
    sent(payload: string, message: Omit<Message, 'place' | 'over'>, isRetained = false): void {
      messages.set(payload, { ...message, place: now++, over: Number.POSITIVE_INFINITY })
      if (isRetained) retained.set(message.topic, (retained.get(message.topic) ?? new Set([''])).add(payload))
    },
    acknowledged(payload: string): void {
      const message = messages.get(payload)
      if (message === undefined) return
      owe(payload, message)
      message.over = now++
      const may = retained.get(message.topic)
      for (const other of may ?? [])
        if (other !== payload && (messages.get(other)?.over ?? -1) < message.place) may?.delete(other)
    },
    /** Such as the will of a client that says that it goes. */
    forbid: (payload: string) => void forbidden.add(payload),
    /** Its node has ended, perhaps before it wrote that: DISCONNECT has no answer. */
    permit: (payload: string) => void forbidden.delete(payload),
    /** Of a node that was killed a publisher's node may take with it what it was to place anew. */
    killed(): void {
      sharedOwed = new Set()
    },
    sessions: (): ReadonlyMap<string, Session> => sessions,
    retained: (): ReadonlyMap<string, ReadonlySet<string>> => retained,
    /** Once all had time to come. */
    missing(client: string, seen: readonly Seen[]): string[] {
      const there = new Set(seen.map(({ payload }) => payload))
      return [...(sessions.get(client)?.must ?? [])].filter(payload => !there.has(payload))
    },
    missingOfGroups(all: readonly string[]): string[] {
      const there = new Set(all)
      return [...sharedOwed].filter(payload => !there.has(payload))
    },
    /** Of a session: what came twice, out of order or against its publisher's word. */
    wrong(client: string, seen: readonly Seen[]): string[] {
      const once = sessions.get(client)?.once ?? new Set()
      const last = new Map<string, number>()
      const firsts = new Set<string>()
      return seen.flatMap(({ payload, qos }) => {
        if (forbidden.has(payload)) return [`${payload} was never to be sent`]
        if (firsts.has(payload)) return once.has(payload) ? [`${payload} came twice`] : []
        firsts.add(payload)
        const message = messages.get(payload)
        if (message === undefined) return [`${payload} was never sent`]
        if (SHARED_TOPIC.test(message.topic)) return [] // what a member leaves comes to another behind later ones
        const line = `${message.line} ${message.topic} ${message.qos} ${qos}`
        const before = last.get(line) ?? -1
        last.set(line, Math.max(before, message.place))
        return before > message.place ? [`${payload} came too late`] : []
      })
    },
  }

  /** What this filter asked for and has not come. */
  function excuse({ must, once }: Session, filter: string, seen: readonly Seen[]): void {
    const there = new Set(seen.map(({ payload }) => payload))
    for (const payload of [...must, ...once])
      if (!there.has(payload) && matches(filter, messages.get(payload)!.topic)) {
        must.delete(payload)
        once.delete(payload)
      }
  }

  function membersLeft({ filters }: Session): boolean {
    return [...filters.keys()].some(filter => SHARED.test(filter))
  }
}
