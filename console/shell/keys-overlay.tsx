// What "?" shows: the keys of the console.
import { Button } from '../components/button.tsx'
import { Dialog } from '../components/dialog.tsx'
import { shortcuts } from './shortcuts.ts'

export function KeysOverlay({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="facts keys">
        {shortcuts.map(({ keys, does }) => (
          <div key={does} className="pair">
            <dt>
              {keys.map(key => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <div className="actions">
        <Button look="primary" onClick={onClose} autoFocus>
          Close
        </Button>
      </div>
    </Dialog>
  )
}
