// Texts of MQTT are bounded by their octets in UTF-8, as they travel and as they are stored.

/** Octets that a UTF-16 unit takes at most. */
const UNIT_OCTETS_MAX = 3

/** Whether a text takes more octets. Counts them only where that is not clear from its length. */
export function isLonger(text: string, octets: number): boolean {
  if (text.length > octets) return true
  return text.length * UNIT_OCTETS_MAX > octets && Buffer.byteLength(text) > octets
}
