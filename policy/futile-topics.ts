// What a document allows and what can hold for no device, whatever its variables are: a draft that says so is a mistake. Pure.
import type { Action, PolicyDocument } from './document.ts'
import { isReserved } from './subscription.ts'
import { contains, parseFilter, type TopicFilter } from './topic-filter.ts'

export type FutileTopic = { path: string; message: string }

/** Those of a document that holds no fault. Variables stand for one level of their own, equal where they are written alike. */
export function futileTopics({ statements }: PolicyDocument): FutileTopic[] {
  const denied = statements.flatMap(({ effect, actions, topics }, index) =>
    effect === 'deny' ? topics.map(topic => ({ index, actions, filter: parseFilter(topic) ?? [] })) : [],
  )
  const denies = (action: Action, filter: TopicFilter) =>
    denied.find(rule => rule.actions.includes(action) && contains(rule.filter, filter))

  return statements.flatMap(({ effect, actions, topics }, index) => {
    if (effect === 'deny') return []
    return topics.flatMap((topic, at) => {
      const filter = parseFilter(topic)
      if (filter === null) return []
      const path = `statements[${index}].topics[${at}]`
      // A variable at the beginning is a level like any other.
      const isOwn = filter[0]?.startsWith('$') === true && !filter[0].startsWith('${')
      if (isOwn && isReserved(filter))
        return [
          {
            path,
            message: `${topic} never holds: what begins with $ is closed, but for $SYS/broker/…, $SYS/brokers/… and $rollcall/events/…`,
          },
        ]
      return actions.flatMap((action): FutileTopic[] => {
        if (isOwn && (action === 'publish' || action === 'will' || action === 'retain'))
          return [{ path, message: `${action} on ${topic} never holds: nobody publishes into $…` }]
        const rule = denies(action, filter)
        if (rule === undefined) return []
        return [
          { path, message: `${action} on ${topic} never holds: statements[${rule.index}] denies all of it` },
        ]
      })
    })
  })
}
