// What a draft changes, line by line; a sign says what a colour says.
import { Empty } from '../../components/placeholders.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { lineDiff } from './line-diff.ts'

const signs = { same: ' ', gone: '−', new: '+' } as const
const words = { same: '', gone: 'removed: ', new: 'added: ' } as const

export function DiffView({ before, after }: { before: string; after: string }) {
  if (before === after) {
    return (
      <Empty icon="check" title="The draft is what is stored">
        <p>Change the document, and the difference stands here.</p>
      </Empty>
    )
  }
  const lines = lineDiff(before, after)
  if (lines === null)
    return (
      <p className="soft">The documents are too long to be compared here: rollcall policy diff does it.</p>
    )
  return (
    <TableFrame label="Changes">
      <ol className="diff">
        {lines.map(({ kind, text, number }) => (
          <li key={`${kind} ${number}`} className={kind}>
            <span className="sign" aria-hidden="true">
              {signs[kind]}
            </span>
            <span className="hidden-from-sight">{words[kind]}</span>
            {text}
          </li>
        ))}
      </ol>
    </TableFrame>
  )
}
