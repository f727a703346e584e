// Text of others as a page may show it. Knows nothing of pages.

/**
 * JSON as the service sends it, with characters that turn the order of what stands beside them (Unicode UAX #9: embeddings, overrides,
 * isolates) and line separators replaced: a topic or a subject with those would read as another one.
 */
export function parseReceived(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) =>
    typeof value === 'string'
      ? value.replace(/[\u202a-\u202e\u2066-\u2069\u2028\u2029]/g, '\u{fffd}')
      : value,
  )
}

/** Whether it holds what was shown with characters replaced: sent back, it would replace them in the record, too. */
export function holdsReplaced(json: string): boolean {
  return json.includes('\u{fffd}')
}
