// A place to drop a file on, and a button to choose one.
import { type DragEvent, useId, useState } from 'react'
import { Icon } from './icon.tsx'

export function FileDrop({
  label,
  accept,
  onFile,
}: {
  label: string
  accept: string
  onFile: (file: File) => void
}) {
  const [over, setOver] = useState(false)
  const id = useId()
  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    const file = event.dataTransfer.files[0]
    if (file !== undefined) onFile(file)
  }
  return (
    <label
      className="drop"
      htmlFor={id}
      data-over={over}
      onDragOver={event => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <Icon name="upload" />
      <span>{label}</span>
      <input
        id={id}
        type="file"
        accept={accept}
        onChange={event => {
          const file = event.target.files?.[0]
          if (file !== undefined) onFile(file)
          event.target.value = ''
        }}
      />
    </label>
  )
}
