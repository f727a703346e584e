// `rollcall ca …`: the life of the CA's keys and certificates.
import { Command } from 'commander'
import { encryptCommand, exportRootCommand } from './ca-keys.ts'

export function caCommand(): Command {
  const ca = new Command('ca').description(
    'The CA: its keys, and handing over from one issuing CA to the next.',
  )
  for (const command of [encryptCommand(), exportRootCommand()]) ca.addCommand(command)
  return ca
}
