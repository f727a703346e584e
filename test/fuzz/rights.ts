// Rights, as the model has them: written out for the few topics of the fuzz, without any algebra of filters.
import { BACKEND, type Policy } from './commands.ts'

export type Standing = { device: string; policy: Policy; reader: boolean }

const isSecret = (topic: string) => /^devices\/[^/]+\/secret\//.test(topic)

/** Publishing, receiving and leaving a will: an allow covers the topic, and no deny does. */
export function mayUse(
  { device, policy, reader }: Standing,
  topic: string,
  action: 'publish' | 'receive' | 'will',
) {
  if (policy === 'narrow' && action === 'receive' && isSecret(topic)) return false
  if (topic.startsWith('devices/')) {
    return device === BACKEND || (policy !== 'closed' && topic.startsWith(`devices/${device}/`))
  }
  if (action === 'receive') return reader && topic.startsWith('shared/')
  return action === 'publish' && reader && topic === `shared/${device}`
}

/** What is to be kept must be allowed to be kept, too: only below `devices/` it is. */
export function mayRetain(standing: Standing, topic: string): boolean {
  return topic.startsWith('devices/') && mayUse(standing, topic, 'publish')
}

/** A filter must be contained in an allow; a deny refuses it only where it takes the whole filter. */
export function maySubscribe({ device, policy, reader }: Standing, filter: string): boolean {
  if (filter === 'shared/#') return reader
  if (!filter.startsWith('devices/')) return false
  if (policy === 'narrow' && isSecret(filter)) return false
  return device === BACKEND || (policy !== 'closed' && filter.startsWith(`devices/${device}/`))
}

/** Whether a granted filter matches a topic; those granted end in `#` or are literal. */
export function matches(filter: string, topic: string): boolean {
  return `${topic}/`.startsWith(filter.replace(/#$/, ''))
}
