// The short name of an issuing CA, in URLs of certificates and in names of files.

/** What URLs call an issuer: the first 64 bits of its fingerprint, to keep certificates small. */
export function shortNameOf(issuerId: string): string {
  return issuerId.slice(0, 16)
}
