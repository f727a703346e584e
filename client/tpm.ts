// The verbs on TPMs: which manufacturers vouch for them, and the endorsement key of a device.
import type { Transport } from './transport.ts'

/** Whether a CA vouches for TPMs. */
export type TpmAnchor = {
  issuerId: string
  mode: 'off' | 'pending' | 'active'
  group: string | null
  devicesMax: number
  devices: number
}

/** The TPM of a device. Hashes and names in hex. */
export type DeviceTpm = {
  deviceId: string
  endorsementKey: {
    /** SHA-256 of its SubjectPublicKeyInfo. */
    sha256: string
    vouchedBy: 'operator' | 'maker' | 'token' | 'nobody'
    issuerId: string | null
    maker: string | null
    model: string | null
    version: string | null
    recordedAt: string
  } | null
  /** Of the certificates whose keys it proved to hold, the newest first. */
  attestations: {
    fingerprint: string
    endorsementKey: string
    keyName: string
    keyAttributes: string[]
    provenAt: string
    /** As `${device.attested}` in policies. */
    attested: boolean
  }[]
}

export function tpmVerbs(call: Transport['call']) {
  const anchor = (issuerId: string) => `/v1/issuers/${encodeURIComponent(issuerId)}/tpm`
  const device = (id: string) => `/v1/devices/${encodeURIComponent(id)}/endorsement-key`
  return {
    anchor: {
      show: (issuerId: string) => call<TpmAnchor>('GET', anchor(issuerId)),
      /** What is left out stays as it is. */
      set: (
        issuerId: string,
        settings: Partial<Omit<TpmAnchor, 'issuerId' | 'devices'>> & Pick<TpmAnchor, 'mode'>,
      ) => call<TpmAnchor>('PUT', anchor(issuerId), settings),
    },
    device: {
      tpm: (id: string) => call<DeviceTpm>('GET', device(id)),
      /** SHA-256 of the SubjectPublicKeyInfo in hex; null takes it off the record. */
      setEndorsementKey: (id: string, endorsementKey: string | null) =>
        call<DeviceTpm>('PUT', device(id), { endorsementKey }),
    },
  }
}
