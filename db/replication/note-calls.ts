// The notes of brokers as calls that travel: the name of a verb of `BrokerNotes` and its arguments as JSON, certificates in it as base64.
import type { BrokerNotes } from '../broker-notes.ts'

export type NoteCall = { call: keyof BrokerNotes; arguments: string }

const calls: Record<keyof BrokerNotes, true> = {
  ...{ enter: true, leave: true, seen: true, acknowledge: true, uses: true, refusals: true, denials: true },
  ...{ arrivals: true, suspendCloned: true, subscriptions: true, liveSessions: true, lastSeen: true },
}

export const noteCalls = Object.keys(calls) as (keyof BrokerNotes)[]

export function encodeArguments(given: readonly unknown[]): string {
  return JSON.stringify(given, function (this: Record<string, unknown>, key, value: unknown) {
    // A buffer has become an object of numbers before this is called.
    const original = this[key]
    return Buffer.isBuffer(original) ? { $base64: original.toString('base64') } : value
  })
}

/** Throws where the text is none of `encodeArguments`. */
export function decodeArguments(text: string): unknown[] {
  return JSON.parse(text, (_, value: unknown) => {
    const bytes = (value as { $base64?: unknown } | null)?.$base64
    return typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : value
  }) as unknown[]
}

/** Runs a call. Throws as the verb does; an unknown one is of a newer broker. */
export function runCall(notes: BrokerNotes, call: string, text: string): void {
  if (!Object.hasOwn(calls, call)) throw new Error(`brokers note nothing called ${call} in this version`)
  const verb = notes[call as keyof BrokerNotes] as (...given: unknown[]) => void
  verb(...decodeArguments(text))
}
