// Hands a text over as a file. It never leaves the browser.
import type { ReactNode } from 'react'
import { Button } from './button.tsx'

export function SaveButton({ name, text, children }: { name: string; text: string; children: ReactNode }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }))
    const link = document.createElement('a')
    link.href = url
    link.download = name
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 1_000)
  }
  return (
    <Button small icon="download" onClick={save}>
      {children}
    </Button>
  )
}
