// Detects that the server certificate or its key was replaced on disk. Polls, because polling works on every file system and
// sees a half replaced pair again.
import { type TlsFiles, tlsFilesVersion } from './tls-context.ts'

const LOOK_EVERY_MS = 2_000

export function watchTlsFiles(files: TlsFiles, onChange: () => void): { stop(): void } {
  let version = tlsFilesVersion(files)
  const timer = setInterval(() => {
    try {
      const seen = tlsFilesVersion(files)
      if (seen === version) return
      version = seen
      onChange()
    } catch {
      // A file can be missing while it is replaced; the next poll finds it.
    }
  }, LOOK_EVERY_MS)
  return { stop: () => clearInterval(timer) }
}
