// A command in this process, many times quicker than one of its own: its exit code and what it wrote.
import { isUtf8 } from 'node:buffer'
import { run } from '../../cli/program.ts'
import type { Ran } from './running.ts'

/** Commands run one at a time: what is written meanwhile is theirs. */
export async function rollcallHere(...args: string[]): Promise<Ran> {
  const written = { stdout: '', stderr: '' }
  const streams = ['stdout', 'stderr'] as const
  const before = streams.map(name => process[name].write)
  for (const [index, name] of streams.entries())
    process[name].write = ((text: string | Uint8Array, ...more: unknown[]) => {
      // What the test runner reports is no text.
      if (typeof text !== 'string' && !isUtf8(text)) return before[index]!.call(process[name], text)
      written[name] += typeof text === 'string' ? text : Buffer.from(text).toString('utf8')
      const done = more.find(one => typeof one === 'function') as (() => void) | undefined
      done?.()
      return true
    }) as never
  try {
    const code = await run(args, '0.0.0')
    return { code, ...written }
  } finally {
    streams.forEach((name, index) => {
      process[name].write = before[index] as never
    })
    process.exitCode = undefined
  }
}
