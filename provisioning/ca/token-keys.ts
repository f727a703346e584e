// Keys in a PKCS #11 token, used through OpenSC's pkcs11-tool: the private key never leaves the token, the PIN never
// stands in a command line. A key file then holds the URI of the key (RFC 7512) and no secret.
import { execFile, execFileSync } from 'node:child_process'
import { createHash, createPublicKey, type KeyObject, randomBytes, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readText, replaceFile } from '../data-directory.ts'
import type { CaKeyType } from './keys.ts'
import { type SignatureForm, type Signer, signatureAlgorithmOf } from './signer.ts'

export type TokenSettings = { module: string; token: string; pinFile: string }
type TokenKeys = {
  /** The signer that a key file points at. */
  open(file: string): Signer
  /** Makes a key in the token, and the file that points at it. */
  make(file: string, type: CaKeyType): Signer
}

const TOOL = 'pkcs11-tool'
const PIN_VARIABLE = 'ROLLCALL_PKCS11_PIN'
const PREFIX = 'pkcs11:'
const TIMEOUT_MS = 10_000
/**
 * Each signature is a process of some 15 ms, one after the other: of several that log in to a SoftHSM 2.6 token at the same moment
 * one is answered CKR_GENERAL_ERROR now and then.
 */
const AT_ONCE = 1
const WAITING_MAX = 1_000

/** pkcs11-tool 0.23 makes P-384 keys too, but cannot read back their public half. */
const keyTypes: Partial<Record<CaKeyType, string>> = {
  p256: 'EC:prime256v1',
  rsa: 'RSA:3072',
}

export function pointsAtToken(file: string): boolean {
  return readText(file)?.startsWith(PREFIX) === true
}

export function createTokenKeys({ module, token, pinFile }: TokenSettings): TokenKeys {
  const env = { ...process.env, [PIN_VARIABLE]: readPin(pinFile) }
  const where = ['--module', module, '--token-label', token]
  const login = ['--login', '--pin', `env:${PIN_VARIABLE}`]
  const take = createSlots(AT_ONCE, WAITING_MAX)

  function run(args: readonly string[], input: Uint8Array = Buffer.alloc(0)): Buffer {
    try {
      return execFileSync(TOOL, [...where, ...args], {
        env,
        input,
        timeout: TIMEOUT_MS,
        stdio: ['pipe', 'pipe', 'pipe'],
      })
    } catch (error) {
      throw inWords(error, token)
    }
  }

  function runLater(args: readonly string[], input: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = { env, timeout: TIMEOUT_MS, encoding: 'buffer' as const }
      const child = execFile(TOOL, [...where, ...args], options, (error, stdout, stderr) =>
        error === null ? resolve(stdout) : reject(inWords(Object.assign(error, { stderr }), token)),
      )
      // What a tool that has ended does not read is told by its exit.
      child.stdin?.on('error', () => {})
      child.stdin?.end(input)
    })
  }

  function signerOf(id: string): Signer {
    const der = run(['--read-object', '--type', 'pubkey', '--id', id])
    const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
    const algorithm = signatureAlgorithmOf(publicKey)
    const commandOf = (bytes: Uint8Array, form: SignatureForm) => {
      const [mechanism, input] = orderOf(publicKey, algorithm.hash ?? 'sha256', bytes)
      const format = form === 'der' ? 'openssl' : 'rs'
      const flags = ['--sign', '--mechanism', mechanism, '--id', id, '--signature-format', format]
      return { args: [...login, ...flags], input }
    }
    const check = (signature: Buffer, bytes: Uint8Array, form: SignatureForm) =>
      assertSigned(signature, bytes, publicKey, algorithm.hash, form)
    // Once now, so that a wrong PIN shows at the start and not at the first device.
    const proof = randomBytes(32)
    const first = commandOf(proof, 'der')
    check(run(first.args, first.input), proof, 'der')
    return {
      publicKey,
      algorithm,
      key: null,
      async sign(bytes, form = 'der') {
        const { args, input } = commandOf(bytes, form)
        const release = await take()
        try {
          return check(await runLater(args, input), bytes, form)
        } finally {
          release()
        }
      },
    }
  }

  return {
    open(file) {
      const id = /;id=((?:%[0-9a-f]{2})+)/.exec(readText(file) ?? '')?.[1]?.replaceAll('%', '')
      if (id === undefined) throw new Error(`${file} names no key in a token: restore it from a backup`)
      return signerOf(id)
    },

    make(file, type) {
      const keyType = keyTypes[type]
      if (keyType === undefined) {
        throw new Error(`a key of type ${type} cannot be made in a token: choose p256 or rsa`)
      }
      const id = randomBytes(8).toString('hex')
      const flags = ['--keypairgen', '--key-type', keyType, '--id', id, '--label', 'rollcall issuing CA']
      run([...login, ...flags, '--usage-sign'])
      const encoded = id.replace(/../g, '%$&')
      replaceFile(file, `${PREFIX}token=${encodeURIComponent(token)};id=${encoded};type=private\n`, 0o600)
      return signerOf(id)
    },
  }
}

/** ECDSA in a token takes the hash, RSA the bytes. */
function orderOf(publicKey: KeyObject, hash: string, bytes: Uint8Array): [mechanism: string, input: Buffer] {
  return publicKey.asymmetricKeyType === 'rsa'
    ? ['SHA256-RSA-PKCS', Buffer.from(bytes)]
    : ['ECDSA', createHash(hash).update(bytes).digest()]
}

/** What a token gives is looked at before anybody relies on it. */
function assertSigned(
  signature: Buffer,
  bytes: Uint8Array,
  key: KeyObject,
  hash: string | null,
  dsaEncoding: SignatureForm,
): Buffer {
  if (verify(hash, bytes, { key, dsaEncoding }, signature)) return signature
  throw new Error('the token gave a signature that does not verify')
}

/** So many at a time; the others wait in a line that has an end. */
function createSlots(atOnce: number, waitingMax: number): () => Promise<() => void> {
  let busy = 0
  const waiting: (() => void)[] = []
  const release = () => {
    busy -= 1
    waiting.shift()?.()
  }
  return async () => {
    if (busy >= atOnce) {
      if (waiting.length >= waitingMax) throw new Error('too many signatures wait for the token')
      await new Promise<void>(resolve => waiting.push(resolve))
    }
    busy += 1
    return release
  }
}

function readPin(file: string): string {
  try {
    const pin = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    if (/^[^\r\n\0]{4,255}$/.test(pin)) return pin
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    throw new Error(`the PIN file ${file} cannot be read (${code}): nothing can be issued without it`, {
      cause,
    })
  }
  throw new Error(`${file} must hold the PIN of the token on one line`)
}

/** What pkcs11-tool says on stderr names functions and no secrets. */
function inWords(error: unknown, token: string): Error {
  const { code, stderr } = error as { code?: string | number; stderr?: Buffer | string }
  if (code === 'ENOENT') {
    return new Error(`${TOOL} is not installed: it is in OpenSC, Debian's package opensc`, { cause: error })
  }
  const said = /error: [^\n]+/.exec(String(stderr ?? ''))?.[0] ?? 'no answer'
  return new Error(`the token ${token} does not do it (${said}): check module, token label and PIN file`)
}
