// A disk small enough to fill up in a test, and to free again.
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { scratch } from '../e2e/system.ts'

/** A tmpfs, of 3 MiB unless told otherwise; null where this user may not mount. `fill` leaves at most the bytes it is told to. */
export function mountSmallDisk(
  megabytes = 3,
):
  | (Disposable & { path: string; at(name: string): string; fill(leave?: number): void; free(): void })
  | null {
  const folder = scratch()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder.path], {
      stdio: 'pipe',
    })
  } catch {
    folder[Symbol.dispose]()
    return null
  }
  const ballast = folder.at('ballast')
  return {
    path: folder.path,
    at: name => folder.at(name),
    fill(leave = 0) {
      const spare = folder.at('spare')
      if (leave > 0) writeFileSync(spare, Buffer.alloc(leave))
      try {
        execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4k'], { stdio: 'pipe' })
      } catch {
        // Until nothing more fits.
      }
      rmSync(spare, { force: true })
    },
    free: () => rmSync(ballast),
    [Symbol.dispose]() {
      execFileSync('umount', ['-l', folder.path])
      folder[Symbol.dispose]()
    },
  }
}
