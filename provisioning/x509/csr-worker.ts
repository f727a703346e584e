// A thread that reads CSRs for the pool: many in one message, an answer for each.
import { parentPort } from 'node:worker_threads'
import { readCsr } from './csr.ts'

parentPort?.on('message', async (csrs: string[]) => {
  const readings = []
  for (const csr of csrs) readings.push(await readCsr(csr))
  parentPort?.postMessage(readings)
})
