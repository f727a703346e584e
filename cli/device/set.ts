// `rollcall device set`: groups and attributes of devices, merged with what they have unless they are to be replaced.
import { Command } from 'commander'
import type { Device, DeviceChange } from '../../client/types.ts'
import { UsageError } from '../errors.ts'
import { collect, keyValue } from '../options.ts'
import { type Format, printDocument } from '../output/format.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { forEachDevice, idsArgument, idsOf } from './many.ts'

type Changes = {
  attr?: Record<string, string>
  removeAttr?: string[]
  group?: string[]
  removeGroup?: string[]
  replace?: true
  ifMatch?: string
}
type Flags = ServiceFlags & Changes & { output: Format }

const examples = `
Examples:
  rollcall device set pump-1 --attr site=north --group pumps
  rollcall device set pump-1 pump-2 --remove-attr floor --remove-group spare
  rollcall device list --group spare -o jsonl | jq -r .id | rollcall device set - --attr site=store`

export function setCommand(): Command {
  return withServiceOptions(new Command('set'))
    .summary('change groups and attributes of devices')
    .description(
      'Changes what is named and leaves the rest. Policies that use an attribute or group take effect at once.',
    )
    .addArgument(idsArgument())
    .option('--attr <key=value>', 'set an attribute (repeatable)', keyValue)
    .option('--remove-attr <key>', 'remove an attribute (repeatable)', collect)
    .option('--group <name>', 'add to a group (repeatable)', collect)
    .option('--remove-group <name>', 'remove from a group (repeatable)', collect)
    .option('--replace', 'what is given replaces all attributes, or all groups, there are')
    .option('--if-match <version>', 'only if this is still its version, as `device show` tells')
    .addHelpText('after', examples)
    .action(async (given: string[], flags: Flags) => {
      const { attr, removeAttr, group, removeGroup, ifMatch } = flags
      if ([attr, removeAttr, group, removeGroup].every(one => one === undefined))
        throw new UsageError(
          'nothing is to be changed',
          'give --attr, --remove-attr, --group or --remove-group',
        )
      const ids = await idsOf(given)
      if (ifMatch !== undefined && ids.length > 1) throw new UsageError('--if-match is of one device alone')
      await withService(flags, client =>
        forEachDevice(
          ids,
          async id => {
            const held = await client.devices.show(id)
            return client.devices.change(id, changeOf(held, flags), ifMatch ?? held.version)
          },
          device => printDocument(device, flags.output === 'json' && ids.length > 1 ? 'jsonl' : flags.output),
        ),
      )
    })
}

function changeOf(
  held: Device,
  { attr, removeAttr = [], group, removeGroup = [], replace }: Changes,
): DeviceChange {
  const attributes = replace ? { ...attr } : { ...held.attributes, ...attr }
  for (const name of removeAttr) delete attributes[name]
  const groups = [...new Set(replace ? group : [...held.groups, ...(group ?? [])])]
  return {
    ...((attr !== undefined || removeAttr.length > 0) && { attributes }),
    ...((group !== undefined || removeGroup.length > 0) && {
      groups: groups.filter(name => !removeGroup.includes(name)),
    }),
  }
}
