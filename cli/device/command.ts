// `rollcall device …`: putting devices on the roll, enrolling them, and letting them in or out.
import { Argument, Command } from 'commander'
import type { StateReceipt } from '../../client/types.ts'
import { confirm, withYes } from '../confirmation.ts'
import { printable } from '../errors.ts'
import { collect, keyValue } from '../options.ts'
import { type Format, printDocument } from '../output/format.ts'
import { printReceipt } from '../output/receipt.ts'
import { programName, quoted } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { deleteCommand } from './delete.ts'
import { endorsementKeyCommand } from './endorsement-key.ts'
import { enrollCommand } from './enroll.ts'
import { exportCommand } from './export.ts'
import { importCommand } from './import.ts'
import { listCommand } from './list.ts'
import { forEachDevice, idsArgument, idsOf } from './many.ts'
import { renewCommand } from './renew.ts'
import { setCommand } from './set.ts'
import { tryPublishCommand, trySubscribeCommand } from './try.ts'

type Flags = ServiceFlags & { output: Format }

const verbs = {
  suspend: 'cut it and keep it out until it is activated again; its stored session is kept',
  activate: 'let a suspended device back in',
  decommission: 'cut it for good and drop its stored session; this is final',
} as const

export function deviceCommand(): Command {
  const device = new Command('device').description('Devices on the roll.')
  device.addCommand(addCommand())
  device.addCommand(enrollCommand())
  device.addCommand(renewCommand())
  device.addCommand(endorsementKeyCommand())
  device.addCommand(importCommand())
  device.addCommand(exportCommand())
  device.addCommand(listCommand())
  device.addCommand(showCommand())
  device.addCommand(setCommand())
  for (const verb of ['suspend', 'activate', 'decommission'] as const) device.addCommand(stateCommand(verb))
  device.addCommand(deleteCommand())
  device.addCommand(tryPublishCommand())
  device.addCommand(trySubscribeCommand())
  return device
}

function addCommand(): Command {
  return withServiceOptions(new Command('add'))
    .summary('put a device on the roll')
    .description('Puts a device on the roll. It is admitted once it is enrolled.')
    .addArgument(idArgument())
    .option('--attr <key=value>', 'an attribute (repeatable)', keyValue)
    .option('--group <name>', 'a group to be in (repeatable); `backend` may reach all devices', collect)
    .action(async (id: string, flags: Flags & { attr?: Record<string, string>; group?: string[] }) => {
      const added = await withService(flags, client =>
        client.devices.add({
          id,
          ...(flags.attr ? { attributes: { ...flags.attr } } : {}),
          ...(flags.group ? { groups: flags.group } : {}),
        }),
      )
      await printDocument(added, flags.output)
      const service = flags.data === undefined ? '' : ` --data ${quoted(flags.data)}`
      say(
        `${id} is on the roll; enroll it next: ${programName()} device enroll ${id} --out devices/${id}${service}`,
      )
    })
}

function showCommand(): Command {
  return withServiceOptions(new Command('show'))
    .summary('show one device')
    .addArgument(idArgument())
    .action(async (id: string, flags: Flags) => {
      await printDocument(await withService(flags, client => client.devices.show(id)), flags.output)
    })
}

function stateCommand(verb: keyof typeof verbs): Command {
  const command = withServiceOptions(new Command(verb)).summary(verbs[verb]).addArgument(idsArgument())
  if (verb !== 'activate') withYes(command)
  const examples = `rollcall device ${verb} pump-1 pump-2\n  rollcall device list --group pumps -o jsonl | jq -r .id | rollcall device ${verb} -`
  return command
    .addHelpText('after', `\nExamples:\n  ${examples}`)
    .action(async (given: string[], flags: Flags & { yes?: true }) => {
      const ids = await idsOf(given)
      if (verb !== 'activate') await confirm(`${verb} (${verbs[verb]})`, ids, flags.yes)
      const output = flags.output === 'json' && ids.length > 1 ? 'jsonl' : flags.output
      await withService(flags, client =>
        forEachDevice<StateReceipt>(
          ids,
          id => client.devices[verb](id),
          async receipt => {
            await printDocument(receipt, output)
            printReceipt(`${printable(receipt.deviceId)} is ${receipt.state}`, receipt)
          },
        ),
      )
    })
}

function idArgument(): Argument {
  return new Argument('<id>', 'device ID')
}

function say(words: string): void {
  process.stderr.write(`${words}\n`)
}
