// How the holder of a credential looks on the wire.
import type { Static } from 'typebox'
import type { Holder } from '../../db/operators/token-store.ts'
import { timeOrNull } from '../http/api.ts'
import type { WhoAmI } from './operator-schemas.ts'

export function toHolderResponse({
  kind,
  id,
  name,
  role,
  scope: group,
  expiresAt,
}: Holder): Static<typeof WhoAmI> {
  return { kind, id, name, role, group, expiresAt: timeOrNull(expiresAt) }
}
