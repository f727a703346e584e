// What may name a device, a group or an attribute. Nothing here can be mistaken for a topic, a path or
// a property that JavaScript objects inherit.

const PATTERN = /^[A-Za-z0-9._-]{1,128}$/
const PATH_LIKE = new Set(['.', '..'])

/** Whether a name is fit for a device ID, a group or an attribute key. */
export function isDeviceId(text: string): boolean {
  return PATTERN.test(text) && !PATH_LIKE.has(text) && !(text in Object.prototype)
}

export const DEVICE_ID_RULE =
  "1 to 128 characters of A-Z a-z 0-9 . _ -, not '.' or '..', and no name that JavaScript objects inherit"
