// Notices when the server certificate or its key was replaced on disk. Looking beats being told: it works on every
// file system, and a pair that is half replaced is looked at again.
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
      // A file is missing for the moment it is replaced; the next look sees it.
    }
  }, LOOK_EVERY_MS)
  return { stop: () => clearInterval(timer) }
}
