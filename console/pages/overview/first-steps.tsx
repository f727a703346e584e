// An empty fleet: what to do first.

import { useMay } from '../../api/session.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Link } from '../../routing/link.tsx'

export function FirstSteps() {
  const may = useMay('enroller')
  return (
    <section className="card">
      <Empty icon="devices" title="The roll is empty">
        <p>
          Register a device, give it a certificate for a key that it made itself, and let it connect. Then its
          numbers stand here.
        </p>
        {may ? (
          <Link className="button primary" to="/enroll">
            Enroll the first device
          </Link>
        ) : null}
      </Empty>
    </section>
  )
}
