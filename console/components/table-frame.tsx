// Around a table: scrolls by itself where the page is narrow, and is then reached by the keyboard.
import { type ReactNode, useLayoutEffect, useRef, useState } from 'react'

export function TableFrame({ label, children }: { label: string; children: ReactNode }) {
  const frame = useRef<HTMLDivElement>(null)
  const [scrolls, setScrolls] = useState(false)
  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return
    const look = () => setScrolls(element.scrollWidth > element.clientWidth)
    const observer = new ResizeObserver(look)
    observer.observe(element)
    for (const child of element.children) observer.observe(child)
    return () => observer.disconnect()
  }, [])
  return (
    // biome-ignore lint/a11y/useSemanticElements: no set of fields, but what scrolls together
    <div className="scroll" ref={frame} role="group" aria-label={label} {...(scrolls ? { tabIndex: 0 } : {})}>
      {children}
    </div>
  )
}
