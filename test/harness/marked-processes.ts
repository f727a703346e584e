// Processes of this machine that are known by a mark in their environment, their own children included.
import { readdirSync, readFileSync } from 'node:fs'

/** Their numbers, as text. */
export function marked(mark: string): string[] {
  return readdirSync('/proc').filter(name => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'latin1').includes(mark)
    } catch {
      return false
    }
  })
}
