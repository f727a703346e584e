// The flags by which devices are chosen, shared by every command that takes many of them.
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { DeviceFilter } from '../../client/types.ts'
import { certificateStatuses } from '../../db/schema.ts'
import { type When, whenOf } from '../when.ts'

const FILTERS = 'Which devices (all must hold):'

export type FilterFlags = {
  state?: string
  group?: string
  prefix?: string
  search?: string
  attr?: string
  connected?: boolean
  lastSeen?: When
  connectedSince?: When
  certificateStatus?: string
  expires?: When
}

export const states = ['registered', 'active', 'suspended', 'decommissioned']

export function withFilters(command: Command): Command {
  command
    .optionsGroup(FILTERS)
    .addOption(new Option('--state <state>', 'in this state').choices(states))
    .option('--group <name>', 'in this group')
    .option('--prefix <text>', 'whose ID starts so')
    .option(
      '--search <terms>',
      'found by each of these: start of an ID or fingerprint, serial number, NAME:VALUE',
    )
    .option('--attr <name=value>', 'with this attribute', attribute)
    .option('--connected', 'connected now')
    .option('--no-connected', 'not connected now')
    .option(
      '--last-seen <when>',
      'whose last connection ended before:7d, after:1h, or never was',
      whenOf({ never: true }),
    )
    .option(
      '--connected-since <when>',
      'whose last connection began before:2026-11-30, or after:1h',
      whenOf(),
    )
    .addOption(
      new Option('--certificate-status <status>', 'whose certificate has this status').choices(
        certificateStatuses,
      ),
    )
    .option('--expires <when>', 'whose certificate expires before:30d, or after:1d', whenOf({ ahead: true }))
  return command.optionsGroup('Options:')
}

export function filterOf(flags: FilterFlags): DeviceFilter {
  const { state, group, prefix, search, attr, connected, certificateStatus } = flags
  const { lastSeen = {}, connectedSince = {}, expires = {} } = flags
  const filter = {
    ...{ state, group, prefix, search, attribute: attr, connected, certificateStatus },
    ...{ lastSeenBefore: lastSeen.before, lastSeenAfter: lastSeen.after, neverConnected: lastSeen.never },
    ...{ connectedBefore: connectedSince.before, connectedAfter: connectedSince.after },
    ...{ expiresBefore: expires.before, expiresAfter: expires.after },
  }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))
}

function attribute(text: string): string {
  const [, name, value] = /^([A-Za-z0-9._-]{1,128})[=:](.*)$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('It must have the form name=value.')
  return `${name}:${value}`
}
