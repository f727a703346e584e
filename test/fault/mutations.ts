// Damage to valid structures, by chance that can be replayed: DER element by element with lengths that fit again, so that what
// is damaged reaches the readers behind the first check; and octets, texts and JSON as they come.
import { createRandom } from '../../device-sim/random.ts'
import { contentOf, type DerElement, elementsOf } from '../../pki/der-reader.ts'
import { der } from '../provisioning/x509/csr-forge.ts'

export type Chance = ReturnType<typeof createChance>

export function createChance(seed: number) {
  const random = createRandom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  return {
    below,
    pick: <T>(from: readonly T[]): T => from[below(from.length)]!,
    bytes: (count: number) => Buffer.from(Array.from({ length: count }, () => below(256))),
    sometimes: (share: number) => random() < share,
  }
}

type Node = { tag: number; content: Buffer | Node[] }

/** Values that readers are known to stumble over: empty, of the wrong kind, longer and larger than anybody expects. */
const oddities: readonly Buffer[] = [
  ['0500', '3000', '3100', '0400', '0c00', '0101ff', '010100', '020100', '02020080'],
  ['0201ff', '0209ffffffffffffffffff', '06012a', '0600', '060180', '0603550403', '060355040a'],
  [
    '170d3939313233313233353935395a',
    '180f32303335303130313234303030305a',
    '180f30303439313233313233353935395a',
  ],
  ['1800', '1700', '0c0100', '1e0141', '1c0300000', 'a000', 'a003020102', '8000', '82012a', 'a5023000'],
  ['0303070080', '030100', '0300', '0302077f', '1301ff', '120131', '24040402aabb', '1f8101'],
].flatMap(row => row.map(hex => Buffer.from(hex.length % 2 === 0 ? hex : `${hex}0`, 'hex')))

/** The same structure with one to four things wrong. */
export function mutatedDer(bytes: Buffer, chance: Chance): Buffer {
  const root = treeOf(bytes)
  for (let damage = 1 + chance.below(4); damage > 0; damage -= 1) damageOne(root, chance)
  const encoded = encode(root)
  return chance.sometimes(0.1) ? mutatedBytes(encoded, chance) : encoded
}

/** The same octets with some flipped, cut off, put in or repeated. */
export function mutatedBytes(bytes: Buffer, chance: Chance): Buffer {
  const at = chance.below(bytes.length + 1)
  const flipped = Buffer.from(bytes)
  if (at < flipped.length) flipped[at]! ^= 1 << chance.below(8)
  return chance.pick([
    flipped,
    bytes.subarray(0, at),
    Buffer.concat([bytes.subarray(0, at), chance.bytes(chance.below(20)), bytes.subarray(at)]),
    Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + chance.below(20))]),
    Buffer.concat([bytes, bytes.subarray(at)]),
  ])
}

/** JSON that a schema may not expect: members dropped, doubled, renamed, of other types, deep or very long. */
export function mutatedJson(value: unknown, chance: Chance, depth = 0): unknown {
  const odd = [
    ...[
      null,
      true,
      0,
      -1,
      1e308,
      2 ** 53,
      '',
      'x',
      [],
      {},
      '\u0000',
      '\ud800',
      '__proto__',
      '🙂'.repeat(100),
    ],
    ...['A'.repeat(20_000), Array(1_000).fill(0), { constructor: { prototype: 1 } }, nested(200)],
  ]
  if (chance.sometimes(0.3) || depth > 6) return chance.pick(odd)
  if (Array.isArray(value)) return value.map(item => mutatedJson(item, chance, depth + 1))
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(() => !chance.sometimes(0.1))
    if (chance.sometimes(0.2)) entries.push([chance.pick(['id', 'x', '__proto__', '']), chance.pick(odd)])
    return Object.fromEntries(
      entries.map(([name, item]) => [
        name,
        chance.sometimes(0.5) ? item : mutatedJson(item, chance, depth + 1),
      ]),
    )
  }
  return chance.pick([value, chance.pick(odd)])
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

function treeOf(bytes: Buffer): Node {
  const elements = read(bytes)
  return elements?.length === 1 ? elements[0]! : { tag: 0x30, content: elements ?? bytes }
}

/** Null where they are no elements: then they are content. */
function read(bytes: Buffer): Node[] | null {
  try {
    const whole: DerElement = { tag: 0, start: 0, content: 0, end: bytes.length }
    return [...elementsOf(bytes, whole)].map(element => {
      const content = contentOf(bytes, element)
      // An OCTET STRING often holds DER of its own, as every extension does.
      const inner = (element.tag & 0x20) !== 0 || element.tag === 0x04 ? read(content) : null
      return { tag: element.tag, content: inner === null || inner.length === 0 ? content : inner }
    })
  } catch {
    return null
  }
}

function encode({ tag, content }: Node): Buffer {
  return der(tag, Buffer.isBuffer(content) ? content : Buffer.concat(content.map(encode)))
}

function damageOne(root: Node, chance: Chance): void {
  const parents: { content: Node[] }[] = []
  const collect = (node: Node) => {
    if (Buffer.isBuffer(node.content)) return
    if (node.content.length > 0) parents.push(node as { content: Node[] })
    node.content.forEach(collect)
  }
  collect(root)
  if (parents.length === 0) return
  const { content } = chance.pick(parents)
  const at = chance.below(content.length)
  const node = content[at]!
  chance.pick([
    () => content.splice(at, 1),
    () => content.splice(at, 0, raw(encode(node))),
    () => content.splice(at, 1, raw(chance.pick(oddities))),
    () => content.splice(at, 0, raw(chance.pick(oddities))),
    () => content.reverse(),
    () => content.splice(at, 1, { ...node, tag: (chance.below(256) & ~0x1f) | chance.below(31) }),
    () => content.splice(at, 1, { ...node, content: chance.bytes(chance.below(30)) }),
    () => {
      if (Buffer.isBuffer(node.content)) node.content = mutatedBytes(node.content, chance)
    },
    () => {
      // A copy: one that holds its own parent has no end.
      const other = encode(chance.pick(chance.pick(parents).content))
      content.splice(at, 1, raw(other))
    },
  ])()
}

/** An element that is put in as it stands. */
function raw(bytes: Buffer): Node {
  return read(bytes)?.[0] ?? { tag: bytes[0] ?? 0, content: bytes.subarray(2) }
}
