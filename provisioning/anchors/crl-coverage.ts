// Whether a CRL tells of everything that a CA has on record here. A list about a part would admit certificates that another part revokes, so
// it never counts as the whole.
import { setImmediate } from 'node:timers/promises'
import { prepareIssuedBy } from '../../db/issuers/issued-certificates.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Registry } from '../../db/open.ts'
import { type CrlCoverage, covers } from '../../pki/distribution-points.ts'

/** Each is parsed where the list names distribution points. */
const SLICE = 50

export function createCoverageCheck(reading: Registry, issuers: () => Map<string, Issuer>) {
  const issuedBy = prepareIssuedBy(reading)

  return async (issuer: Issuer, coverage: CrlCoverage): Promise<string | null> => {
    const below = [...issuers().values()].filter(({ parentId }) => parentId === issuer.id)
    const [first] = below
    if (coverage.endEntitiesOnly && first !== undefined)
      return `its issuing distribution point says onlyContainsUserCerts: it tells nothing of ${first.name}, a CA below that is registered; send the complete one`
    if (coverage.points === null) return null
    const part = (what: string) =>
      `its issuing distribution point says distributionPoint ${coverage.points?.join(', ')}: it tells nothing of ${what}, which names no such point; send the complete one`
    const other = below.find(({ certificate }) => !covers(coverage, certificate.raw))
    if (other !== undefined) return part(`${other.name}, a CA below that is registered`)
    for (let after = ''; ; ) {
      const slice = issuedBy(issuer.id, after, SLICE)
      const last = slice.at(-1)
      if (last === undefined) return null
      const missed = slice.find(({ der }) => !covers(coverage, der))
      if (missed !== undefined) return part(`certificate ${missed.fingerprint} of device ${missed.deviceId}`)
      after = last.serialNumber
      await setImmediate()
    }
  }
}
