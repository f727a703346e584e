// A secret in a file of its own: readable by its owner alone, and never over another file.
import { open } from 'node:fs/promises'
import { fileFault } from '../errors.ts'

export async function writeSecret(file: string, text: string): Promise<void> {
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw fileFault('the secret cannot be written', file, error)
  }
}
