// Reads CSRs on threads beside the event loop as soon as there are several at once or many a second. Verifying what strangers
// send is the largest part of issuing; a few are read where they are, so that a quiet service has no threads.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { type CsrReading, readCsr } from './csr.ts'

export type CsrReader = {
  /** As `readCsr`. @throws where a thread died that read nothing else */
  read(csr: string): Promise<CsrReading>
  /** How many threads there are now. */
  threads(): number
  close(): Promise<void>
}

type Task = {
  csr: string
  /** Whether a thread died that read it beside others: then it is read alone, so that it takes none with it. */
  alone: boolean
  resolve(reading: CsrReading): void
  reject(error: unknown): void
}
type Thread = { worker: Worker; tasks: Task[] | null; overdue: NodeJS.Timeout | null }

/** This process has an event loop to serve besides. */
const THREADS_MAX = Math.max(1, Math.min(4, availableParallelism() - 1))
const TASKS_PER_MESSAGE = 16
const WAITING_MAX = 10_000
/** Up to here a thread costs more memory than it saves. */
const QUIET_PER_SECOND = 20
/** No honest request takes a thousandth of this. */
const MESSAGE_MS_MAX = 10_000

export function createCsrPool(threadsMax = THREADS_MAX, clockMs = () => performance.now()): CsrReader {
  const threads = new Set<Thread>()
  const waiting: Task[] = []
  let reading = 0
  let counted = 0
  let countedFrom = 0
  let closed = false

  function start(): Thread {
    const file = import.meta.url.endsWith('.ts') ? './csr-worker.ts' : './csr-worker.js'
    const worker = new Worker(new URL(file, import.meta.url), { name: 'csr' })
    const thread: Thread = { worker, tasks: null, overdue: null }
    worker.on('message', (readings: CsrReading[]) => {
      const tasks = finish(thread)
      tasks.forEach((task, index) => {
        const found = readings[index]
        if (found === undefined) task.reject(new Error('a thread gave no answer about a CSR'))
        else task.resolve(found.accepted ? asBuffer(found) : found)
      })
      assign()
    })
    worker.on('error', (error: Error) => gone(thread, error))
    worker.on('exit', () => gone(thread, new Error('a thread that reads CSRs ended')))
    worker.unref()
    threads.add(thread)
    return thread
  }

  function finish(thread: Thread): Task[] {
    const tasks = thread.tasks ?? []
    thread.tasks = null
    if (thread.overdue !== null) clearTimeout(thread.overdue)
    return tasks
  }

  function gone(thread: Thread, error: Error): void {
    threads.delete(thread)
    const tasks = finish(thread)
    if (tasks.length > 1 && !closed) waiting.unshift(...tasks.map(task => ({ ...task, alone: true })))
    else for (const task of tasks) task.reject(error)
    if (!closed) assign()
  }

  function assign(): void {
    while (waiting.length > 0) {
      let idle = [...threads].find(thread => thread.tasks === null)
      if (idle === undefined && threads.size < threadsMax && !closed) idle = start()
      if (idle === undefined) return
      give(idle, waiting.splice(0, waiting[0]!.alone ? 1 : TASKS_PER_MESSAGE))
    }
  }

  function give(thread: Thread, tasks: Task[]): void {
    thread.tasks = tasks
    thread.overdue = setTimeout(() => void thread.worker.terminate(), MESSAGE_MS_MAX)
    thread.worker.postMessage(tasks.map(task => task.csr))
  }

  function isQuiet(): boolean {
    const now = clockMs()
    if (now - countedFrom > 1_000) {
      countedFrom = now
      counted = 0
    }
    counted += 1
    return reading === 1 && threads.size === 0 && counted <= QUIET_PER_SECOND
  }

  function queued(csr: string): Promise<CsrReading> {
    if (closed || waiting.length >= WAITING_MAX) throw new Error('no more CSRs can be read now')
    return new Promise((resolve, reject) => {
      waiting.push({ csr, alone: false, resolve, reject })
      // What comes in the same turn of the event loop goes in one message.
      if (waiting.length === 1) setImmediate(assign)
    })
  }

  return {
    async read(csr) {
      reading += 1
      try {
        return isQuiet() ? await readCsr(csr) : await queued(csr)
      } finally {
        reading -= 1
      }
    },
    threads: () => threads.size,
    async close() {
      closed = true
      for (const task of waiting.splice(0)) task.reject(new Error('the service closed before a CSR was read'))
      await Promise.all([...threads].map(({ worker }) => worker.terminate()))
    },
  }
}

/** A Buffer comes out of a message as plain bytes. */
function asBuffer(reading: Extract<CsrReading, { accepted: true }>): CsrReading {
  const { spki } = reading.key
  return {
    ...reading,
    key: { ...reading.key, spki: Buffer.from(spki.buffer, spki.byteOffset, spki.byteLength) },
  }
}
