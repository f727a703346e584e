// The built console as it is handed out: every file read once, compressed once, with how long a browser may keep it.
// Knows nothing of what the pages do; asks the file system at start and never for a path that somebody names.
import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

export type ConsoleFile = {
  type: string
  etag: string
  /** Its name holds a hash of its content: it never changes. */
  immutable: boolean
  body: (encodings: string) => { bytes: Buffer; encoding: 'br' | 'gzip' | null }
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
}

/** By path below /console/; null where nobody built it. */
export function readConsole(folder: string): Map<string, ConsoleFile> | null {
  const paths = globSync('**/*.{html,js,css,svg,txt}', { cwd: folder })
  if (!paths.includes('index.html')) return null
  return new Map(
    paths.map(path => [path.replaceAll('\\', '/'), consoleFile(path, readFileSync(join(folder, path)))]),
  )
}

export function consoleFile(path: string, bytes: Buffer): ConsoleFile {
  // Made when first asked for: most starts are not for a browser.
  const made: { br?: Buffer; gzip?: Buffer } = {}
  return {
    type: types[extname(path)] ?? 'application/octet-stream',
    etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 27)}"`,
    immutable: /^assets\/.+-[\w-]{8}\.\w+$/.test(path),
    body(encodings) {
      if (/\bbr\b/.test(encodings)) {
        made.br ??= brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } })
        return { bytes: made.br, encoding: 'br' }
      }
      if (/\bgzip\b/.test(encodings)) {
        made.gzip ??= gzipSync(bytes, { level: 9 })
        return { bytes: made.gzip, encoding: 'gzip' }
      }
      return { bytes, encoding: null }
    },
  }
}
