// Our own CA with its rotation, and the trust anchors: CAs of others whose devices may be on the roll.
import { useGroup } from '../../api/session.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { AnchorsCard } from './anchors-card.tsx'
import { OwnCaCard } from './own-ca-card.tsx'

export function IssuersPage() {
  const group = useGroup()
  return (
    <>
      <PageHeader
        title="Issuers"
        lead="CAs whose certificates can admit a device. A certificate admits where it is on the roll: trust in its CA alone admits nothing."
      />
      {group === null ? <OwnCaCard /> : null}
      <AnchorsCard />
    </>
  )
}
