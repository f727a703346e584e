// A link within the console: a real one, so that it can be opened elsewhere, followed without loading the page anew.
import type { AnchorHTMLAttributes, MouseEvent } from 'react'
import { BASE, navigate } from './location.ts'

export function Link({ to, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { to: string }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event)
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey)
      return
    event.preventDefault()
    navigate(to)
  }
  return <a {...rest} href={`${BASE}${to}`} onClick={follow} />
}
