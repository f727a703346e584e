// Reads structures of the TPM (TPM 2.0 Library, Part 2: "Structures", §4): big-endian integers, and TPM2B, which is a UINT16 with the size
// and so many octets. Nothing is read past an end, and nothing may be left over.

/** What is wrong with octets that should be a structure of the TPM, and where. */
export class StructureFault extends Error {
  readonly path: string

  constructor(path: string, message: string) {
    super(message)
    this.name = 'StructureFault'
    this.path = path
  }
}

export type StructureReader = {
  uint16(part: string): number
  uint32(part: string): number
  /** A TPM2B of at most `most` octets. */
  sized(part: string, most: number): Buffer
  /** Throws where octets are left. */
  end(): void
}

/** `path` names the structure in faults. Every verb throws a `StructureFault`. */
export function structureReader(bytes: Buffer, path: string): StructureReader {
  let at = 0
  const take = (octets: number, part: string): Buffer => {
    const left = bytes.length - at
    if (octets > left)
      throw new StructureFault(`${path}.${part}`, `it is cut off: ${octets} octets are named, ${left} follow`)
    at += octets
    return bytes.subarray(at - octets, at)
  }
  return {
    uint16: part => take(2, part).readUInt16BE(),
    uint32: part => take(4, part).readUInt32BE(),
    sized(part, most) {
      const size = take(2, part).readUInt16BE()
      if (size > most)
        throw new StructureFault(`${path}.${part}`, `it names a size of ${size} octets, more than ${most}`)
      return take(size, part)
    },
    end() {
      if (at < bytes.length) throw new StructureFault(path, `${bytes.length - at} octets follow its end`)
    },
  }
}
