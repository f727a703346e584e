// A device's key and its certificate request (PKCS #10). Keys are PKCS #8 PEM, as OpenSSL and mosquitto read them.
// Refuses to know where keys are stored and which CA signs.
import { createPrivateKey } from 'node:crypto'
import { requestFor } from '../../device-sim/enrollment/identity.ts'
import {
  generatePrivateKey,
  type KeyType,
  keyTypeOf as keyTypeOfKey,
  pkcs8Of,
} from '../../device-sim/enrollment/signing-keys.ts'

export type { KeyType }

/** A fresh private key, PKCS #8 PEM. */
export async function makeKey(keyType: KeyType): Promise<string> {
  return pkcs8Of(await generatePrivateKey(keyType))
}

/** Which of our key types a private key is; null for any other. @throws where the PEM is no private key. */
export function keyTypeOf(keyPem: string): KeyType | null {
  return keyTypeOfKey(createPrivateKey(keyPem))
}

/** A PKCS #10 request (PEM) with CN = device ID, signed by this key. */
export function makeRequest(deviceId: string, keyPem: string, keyType: KeyType): Promise<string> {
  return requestFor(deviceId, createPrivateKey(keyPem), keyType)
}
