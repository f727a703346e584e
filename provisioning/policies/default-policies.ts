// The rights a fresh registry begins with: every device in its own subtree, backends in everybody's.
// Documents only; `policy/` knows what they mean.
import type { FoundingPolicy } from '../../db/policies/policy-store.ts'

/** Devices in this group hold the `backend` policy. */
const BACKEND_GROUP = 'backend'

export const defaultPolicies: readonly FoundingPolicy[] = [
  {
    name: 'default',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable, filled in per connection
    document: documentFor('default', 'devices/${device.id}/#'),
    attachments: [{ kind: 'everyone', target: '' }],
  },
  {
    name: 'backend',
    document: documentFor('backend', 'devices/#'),
    attachments: [{ kind: 'group', target: BACKEND_GROUP }],
  },
]

function documentFor(name: string, topics: string) {
  return {
    name,
    statements: [
      { effect: 'allow', actions: ['publish', 'retain', 'will'], topics: [topics] },
      { effect: 'allow', actions: ['subscribe', 'receive'], topics: [topics] },
    ],
  }
}
