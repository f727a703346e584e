// Light or dark: as the system says, or as the reader chose. The one thing that this console keeps in the browser.
import { useState } from 'react'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'rollcall.theme'

function kept(): Theme {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : 'system'
  } catch {
    return 'system'
  }
}

export function applyTheme(theme: Theme = kept()): void {
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(kept)
  const choose = (next: Theme) => {
    try {
      if (next === 'system') localStorage.removeItem(KEY)
      else localStorage.setItem(KEY, next)
    } catch {
      // It holds for this page alone then.
    }
    applyTheme(next)
    setTheme(next)
  }
  return [theme, choose]
}
