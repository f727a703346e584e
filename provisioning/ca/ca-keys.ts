// The keys of root and issuing CA on disk: sealed where a passphrase file is named, and then never otherwise.
// Refuses to go on with a key that is not as the operator believes it to be.
import type { KeyObject } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename, resolve, sep } from 'node:path'
import { readText, replaceFile } from '../data-directory.ts'
import { type CaKeyType, generateKey, readKey, writeKey } from './keys.ts'
import { isSealed, openKey, sealKey } from './sealed-key.ts'
import { type Signer, signerOf } from './signer.ts'
import { createTokenKeys, pointsAtToken, type TokenSettings } from './token-keys.ts'

export type CaKeys = {
  sealed: boolean
  /** Null where there is no file. Throws an error that says what to do where the key cannot be had. */
  read(file: string): Signer | null
  /** A new key, on disk before anything is signed with it. */
  make(file: string, type: CaKeyType): Signer
}

export const PASSPHRASE_VARIABLE = 'ROLLCALL_CA_PASSPHRASE_FILE'
const ROOT_KEY = 'root.key'
const PASSPHRASE_BYTES_MAX = 1_024
const PASSPHRASE_CHARACTERS_MIN = 12

/** `passphraseFile` null: keys are in the clear, 0600, as a first start without any setting makes them. */
export function createCaKeys(
  passphraseFile: string | null,
  dataPath: string,
  settings: TokenSettings | null = null,
): CaKeys {
  const { sealed, read, write } = createKeyFiles(passphraseFile, dataPath)
  const token = settings === null ? null : createTokenKeys(settings)
  return {
    sealed,
    read(file) {
      if (pointsAtToken(file)) {
        if (token !== null) return token.open(file)
        throw new Error(
          `${file} points at a token: name it with ROLLCALL_PKCS11_MODULE, _TOKEN and _PIN_FILE`,
        )
      }
      const key = read(file)
      return key === null ? null : signerOf(key)
    },
    make(file, type) {
      // The root's key is to be taken away, which no token lets happen.
      if (token !== null && basename(file) !== ROOT_KEY) return token.make(file, type)
      const key = generateKey(type)
      write(file, key)
      return signerOf(key)
    },
  }
}

type KeyFiles = {
  sealed: boolean
  read(file: string): KeyObject | null
  write(file: string, key: KeyObject): void
}

function createKeyFiles(passphraseFile: string | null, dataPath: string): KeyFiles {
  if (passphraseFile === null) {
    return {
      sealed: false,
      write: writeKey,
      read(file) {
        const pem = readText(file)
        if (pem === null || !isSealed(pem)) return readKey(file)
        throw new Error(`${file} is encrypted: name the file with its passphrase in ${PASSPHRASE_VARIABLE}`)
      },
    }
  }
  if (resolve(passphraseFile).startsWith(`${resolve(dataPath)}${sep}`)) {
    throw new Error(
      `${passphraseFile} lies in the data directory, beside the keys it is to protect: keep it elsewhere`,
    )
  }
  const passphrase = readPassphrase(passphraseFile)
  return {
    sealed: true,
    write: (file, key) => replaceFile(file, sealKey(key, passphrase), 0o600),
    read(file) {
      const pem = readText(file)
      if (pem === null) return null
      if (!isSealed(pem)) {
        throw new Error(
          `${file} is not encrypted although ${PASSPHRASE_VARIABLE} is set: encrypt it with rollcall ca encrypt`,
        )
      }
      const key = openKey(pem, passphrase)
      if (key !== null) return key
      throw new Error(
        `the passphrase in ${passphraseFile} does not open ${file}: name the right one in ${PASSPHRASE_VARIABLE}, ` +
          'or restore the key with its passphrase from a backup',
      )
    },
  }
}

/** The text of a passphrase file without its line end. Never says what is in it. */
export function readPassphrase(file: string): string {
  const passphrase = readSmall(file).replace(/\r?\n$/, '')
  if (passphrase.length < PASSPHRASE_CHARACTERS_MIN || /[\r\n\0]/.test(passphrase)) {
    throw new Error(
      `${file} must hold a passphrase of at least ${PASSPHRASE_CHARACTERS_MIN} characters on one line: ` +
        'openssl rand -base64 33 makes one',
    )
  }
  return passphrase
}

function readSmall(file: string): string {
  try {
    if (statSync(file).size <= PASSPHRASE_BYTES_MAX) return readFileSync(file, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    throw new Error(
      `the passphrase file ${file} cannot be read (${code}): nothing can be issued without it`,
      {
        cause,
      },
    )
  }
  throw new Error(`${file} is longer than ${PASSPHRASE_BYTES_MAX} bytes: it is no passphrase file`)
}
