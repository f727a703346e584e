// An API token that was just made, this one time, and how a program uses it without showing it to others.
import type { ApiToken } from '../../../client/operators.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { CopyButton } from '../../components/copy-button.tsx'
import { Notice } from '../../components/notice.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { TextBlock } from '../../components/text-block.tsx'

export function NewToken({ made, onClose }: { made: ApiToken & { token: string }; onClose: () => void }) {
  // Out of a file: every user of the machine could see a command line.
  const commands = [
    `printf 'silent\\nshow-error\\ncacert = "ca.crt"\\nheader = "Authorization: Bearer %s"\\n' "$(cat ${made.name}.token)" > api.curl`,
    `curl -K api.curl ${location.origin}/v1/whoami`,
  ].join('\n')
  return (
    <Card
      title={`The token ${made.name}`}
      aside={
        <>
          <CopyButton text={made.token} label="Copy the token" words />
          <SaveButton name={`${made.name}.token`} text={`${made.token}\n`}>
            {made.name}.token
          </SaveButton>
        </>
      }
    >
      <Notice tone="warn" title="This is the only time that the token is shown.">
        <p className="small">The registry keeps its hash alone. Who holds it acts as {made.name}.</p>
      </Notice>
      <TextBlock label="Commands" text={commands} />
      <div className="row">
        <Button onClick={onClose}>I have it; hide the token</Button>
      </div>
    </Card>
  )
}
