// `rollcall ca …`: the life of the CA's keys and certificates.
import { Command } from 'commander'
import { encryptCommand, exportRootCommand } from './keys.ts'
import { retireCommand, rotateCommand, statusCommand } from './rotation.ts'

export function caCommand(): Command {
  const ca = new Command('ca').description(
    'The CA: its keys, and handing over from one issuing CA to the next.',
  )
  const commands = [statusCommand(), rotateCommand(), retireCommand(), encryptCommand(), exportRootCommand()]
  for (const command of commands) ca.addCommand(command)
  return ca
}
