// Puts a text where it can be pasted from, and says that it did.
import { useEffect, useState } from 'react'
import { Button, IconButton } from './button.tsx'

export function CopyButton({ text, label, words = false }: { text: string; label: string; words?: boolean }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 2_000)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    )
  const icon = copied ? 'check' : 'copy'
  return (
    <>
      {words ? (
        <Button small icon={icon} onClick={copy}>
          {copied ? 'Copied' : label}
        </Button>
      ) : (
        <IconButton small icon={icon} label={label} onClick={copy} />
      )}
      <span className="hidden-from-sight" role="status">
        {copied ? 'Copied' : ''}
      </span>
    </>
  )
}
