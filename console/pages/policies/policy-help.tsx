// What a statement may say, beside the editor, and statements to begin with.
import type { PolicyStatement } from '../../../client/policy-types.ts'
import { actions, variables } from '../../../policy/document.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: variables of the policy
const beginnings: { title: string; statement: PolicyStatement }[] = [
  {
    title: 'Publish under its own ID',
    statement: {
      effect: 'allow',
      actions: ['publish', 'will'],
      topics: ['devices/${device.id}/#'],
      when: { qosMax: 1 },
    },
  },
  {
    title: 'Read its own commands',
    statement: { effect: 'allow', actions: ['subscribe'], topics: ['devices/${device.id}/commands/+'] },
  },
  {
    title: 'Deny a topic to all of them',
    statement: { effect: 'deny', actions: ['publish', 'subscribe'], topics: ['firmware/#'] },
  },
]
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: variables of the policy

const meanings: Record<string, string> = {
  publish: 'send messages to these topics',
  subscribe: 'subscribe to these filters, and receive',
  receive: 'be handed messages of these topics',
  retain: 'leave retained messages there',
  will: 'leave a will there at CONNECT',
}

export function PolicyHelp({ onInsert }: { onInsert: ((statement: PolicyStatement) => void) | null }) {
  return (
    <Card title="What a statement says">
      <dl className="facts small">
        <dt>effect</dt>
        <dd>
          <code>allow</code> or <code>deny</code>; a deny wins
        </dd>
        <dt>actions</dt>
        <dd>
          <ul>
            {actions.map(action => (
              <li key={action}>
                <code>{action}</code>: {meanings[action]}
              </li>
            ))}
          </ul>
        </dd>
        <dt>topics</dt>
        <dd>
          MQTT topic filters: <code>+</code> one level, <code>#</code> all below
        </dd>
        <dt>variables</dt>
        <dd>
          <ul>
            {[...variables, 'device.attr.NAME'].map(name => (
              <li key={name}>
                <code>{`\${${name}}`}</code>
              </li>
            ))}
          </ul>
        </dd>
        <dt>when</dt>
        <dd>
          <code>{'{ "qosMax": 1 }'}</code>: up to that quality of service
        </dd>
        <dt>limits</dt>
        <dd>
          Beside <code>statements</code>: <code>qosMax</code> for whatever any policy allows, and{' '}
          <code>sessionExpiryMaxSeconds</code> for how long a session outlives its connection
        </dd>
      </dl>
      {onInsert === null ? null : (
        <div className="stack tight">
          <h3>Add a statement</h3>
          <div className="row">
            {beginnings.map(({ title, statement }) => (
              <Button key={title} small onClick={() => onInsert(statement)}>
                {title}
              </Button>
            ))}
          </div>
        </div>
      )}
    </Card>
  )
}
