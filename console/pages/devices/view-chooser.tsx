// Saved views of the list: to open one, to save the present one by a name, to remove one.
import { type FormEvent, useState } from 'react'
import { Button, IconButton } from '../../components/button.tsx'
import { TextField } from '../../components/text-field.tsx'
import { Link } from '../../routing/link.tsx'
import { useRoute } from '../../routing/location.ts'
import { removeView, savedViews, saveView } from './saved-views.ts'

export function ViewChooser() {
  const { query } = useRoute()
  const [views, setViews] = useState(savedViews)
  const [name, setName] = useState('')
  const present = query.toString()
  const save = (event: FormEvent) => {
    event.preventDefault()
    if (name.trim() === '') return
    setViews(saveView(name.trim(), present))
    setName('')
  }
  return (
    <details className="columns">
      <summary>{views.length === 0 ? 'Saved views' : `Saved views (${views.length})`}</summary>
      <div className="stack tight">
        {views.map(view => (
          <span key={view.name} className="row">
            <Link
              className="break"
              to={view.query === '' ? '/devices' : `/devices?${view.query}`}
              aria-current={view.query === present ? 'true' : undefined}
            >
              {view.name}
            </Link>
            <IconButton
              icon="close"
              small
              label={`Remove the view ${view.name}`}
              onClick={() => setViews(removeView(view.name))}
            />
          </span>
        ))}
        <form className="filters" onSubmit={save}>
          <TextField
            label="Save filters, sort and columns as"
            wide
            maxLength={60}
            value={name}
            onValue={setName}
          />
          <Button type="submit" disabled={name.trim() === ''}>
            Save
          </Button>
        </form>
      </div>
    </details>
  )
}
