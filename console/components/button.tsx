// A button: what it does in words, an icon beside them where that helps, and busy while it is being done.
import type { ButtonHTMLAttributes, ReactNode } from 'react'
import { Icon, type IconName } from './icon.tsx'

type ButtonProps = Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'className'> & {
  look?: 'plain' | 'primary' | 'danger' | 'danger primary' | 'quiet'
  small?: boolean
  busy?: boolean
  icon?: IconName
  children: ReactNode
}

export function Button({
  look = 'plain',
  small = false,
  busy = false,
  icon,
  children,
  ...rest
}: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${look} ${small ? 'small' : ''}`}
      disabled={rest.disabled === true || busy}
      aria-busy={busy || undefined}
    >
      {icon === undefined ? null : <Icon name={icon} size={16} />}
      {children}
    </button>
  )
}

/** An icon alone, with its name for screen readers. */
export function IconButton({
  icon,
  label,
  small = false,
  ...rest
}: Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'className' | 'children'> & {
  icon: IconName
  label: string
  small?: boolean
}) {
  return (
    <button
      type="button"
      {...rest}
      className={`button quiet bare ${small ? 'small' : ''}`}
      aria-label={label}
      title={label}
    >
      <Icon name={icon} size={small ? 15 : 18} />
    </button>
  )
}
