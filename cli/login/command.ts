// `rollcall login`: tries where a service is and what opens it, and keeps that as a profile for other commands.
import { resolve } from 'node:path'
import { Command } from 'commander'
import { type Format, printDocument } from '../output/format.ts'
import { DEFAULT_PROFILE, writeProfile } from '../profiles.ts'
import { findService, type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'

const examples = `
Examples:
  rollcall login --data data
  rollcall login --api https://rollcall.example:8443 --token-file admin.token --ca ca.crt --profile site-a
  rollcall device list --profile site-a`

export function loginCommand(): Command {
  return withServiceOptions(new Command('login'))
    .description(
      'Keeps the address, the CA and the file of the token or certificate as a profile, once the service accepted them.',
    )
    .addHelpText('after', examples)
    .action(async ({ profile = DEFAULT_PROFILE, ...flags }: ServiceFlags & { output: Format }) => {
      const caller = await withService(flags, client => client.whoami())
      const { api, ca, ...identity } = findService(flags)
      const files =
        'tokenFile' in identity
          ? { tokenFile: resolve(identity.tokenFile) }
          : { certificate: resolve(identity.certificate), key: resolve(identity.key) }
      const file = writeProfile(profile, { api, ca: resolve(ca), ...files })
      await printDocument(
        { profile, api, name: caller.name, role: caller.role, group: caller.group },
        flags.output,
      )
      process.stderr.write(`profile ${profile} is in ${file}\n`)
    })
}
