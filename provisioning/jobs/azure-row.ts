// Lines of Azure IoT Hub's device export and import (devices.txt), as far as Rollcall can mean the same by them. Pure.
// Shared keys, thumbprints without a certificate and orders to delete are refused: half an import would let in or lock out.
import { isObject, type RowFault, type RowState, shown } from './row-fault.ts'

export type Azure = { attributes?: Record<string, unknown>; state?: RowState }

type Fields = Record<string, unknown>

/** Azure's own fields about its store; they decide nothing here. */
const ignored = [
  'eTag',
  'etag',
  'twinETag',
  'statusReason',
  'generationId',
  'deviceScope',
  'connectionState',
  'connectionStateUpdatedTime',
  'statusUpdatedTime',
  'lastActivityTime',
  'cloudToDeviceMessageCount',
]

export function isAzure(fields: Fields): boolean {
  return (
    'id' in fields &&
    ['authentication', 'importMode', 'eTag', 'capabilities', 'tags'].some(name => name in fields)
  )
}

/** Takes Azure's fields out of a record. The device ID stays for the next reader. */
export function fromAzure(fields: Fields): Azure | RowFault {
  const { importMode, status, authentication, tags, capabilities, properties } = fields
  for (const name of [
    ...ignored,
    'importMode',
    'status',
    'authentication',
    'tags',
    'capabilities',
    'properties',
  ])
    delete fields[name]
  if (importMode !== undefined && importMode !== 'create' && importMode !== 'createOrUpdate')
    return unsupported(
      'importMode is neither create nor createOrUpdate: Rollcall changes and deletes devices one by one',
    )
  if (isObject(capabilities) && capabilities['iotEdge'] === true)
    return unsupported('capabilities.iotEdge: there are no edge devices here')
  if (isObject(properties) && isFilled(properties['desired']))
    return unsupported('properties.desired: there are no device twins here')
  const fault = authenticationFault(authentication)
  if (fault !== null) return fault
  const azure: Azure = {}
  if (status === 'disabled') azure.state = 'suspended'
  else if (status !== undefined && status !== 'enabled')
    return unsupported('status is neither enabled nor disabled')
  if (isFilled(tags)) {
    const attributes = Object.fromEntries(Object.entries(tags).filter(([name]) => !name.startsWith('$')))
    const nested = Object.entries(attributes).find(([, value]) => typeof value !== 'string')
    if (nested !== undefined) return unsupported(`the tag ${shown(nested[0])} is not a text`)
    azure.attributes = attributes
  }
  return azure
}

function authenticationFault(authentication: unknown): RowFault | null {
  if (!isObject(authentication)) return null
  const { type, symmetricKey, x509Thumbprint } = authentication
  if (type === 'sas' || isFilled(symmetricKey))
    return unsupported(
      'authentication.symmetricKey: devices prove a private key here, shared keys open nothing',
    )
  if (type === 'selfSigned' || isFilled(x509Thumbprint))
    return unsupported('authentication.x509Thumbprint is no certificate: give the certificate itself, pinned')
  // certificateAuthority: admitted by its CA once that is a trust anchor here.
  return null
}

/** Azure writes null or '' for what a device has not. */
function isFilled(value: unknown): value is Fields {
  return isObject(value) && Object.values(value).some(item => item !== null && item !== '')
}

function unsupported(detail: string): RowFault {
  return { reason: 'row_unsupported', detail }
}
