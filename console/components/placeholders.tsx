// What stands in place of content: a note for an empty list, and grey lines while an answer is loading.
import type { ReactNode } from 'react'
import { Icon, type IconName } from './icon.tsx'

export function Empty({ icon, title, children }: { icon?: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      {icon === undefined ? null : <Icon name={icon} size={28} />}
      <strong>{title}</strong>
      {children}
    </div>
  )
}

export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div className="stack tight inside" role="status">
      <span className="hidden-from-sight">Loading</span>
      {Array.from({ length: lines }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines of nothing have no other name
        <div className="skeleton" key={index} />
      ))}
    </div>
  )
}
