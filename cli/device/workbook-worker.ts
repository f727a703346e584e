// A workbook read on a thread with a heap of its own: some hundred octets of a workbook can stand for billions of cells.
import { parentPort, workerData } from 'node:worker_threads'
import { readSheet } from 'read-excel-file/node'

const { bytes, sheet } = workerData as { bytes: Uint8Array; sheet: string | undefined }
try {
  const rows = await readSheet(Buffer.from(bytes), ...(sheet === undefined ? [] : [sheet]))
  parentPort!.postMessage({ rows })
} catch (error) {
  parentPort!.postMessage({ problem: (error as Error).message })
}
