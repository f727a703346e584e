// A list without devices: because nothing matches, or because nobody is on the roll yet.
import { useMay } from '../../api/session.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Link } from '../../routing/link.tsx'

export function NoDevices({ filtered }: { filtered: boolean }) {
  const mayEnroll = useMay('enroller')
  if (filtered) {
    return (
      <Empty icon="search" title="No device matches">
        <p>
          The search finds the start of an ID, a fingerprint (8 hex digits at least), a serial number in hex,
          or an attribute as <code>name:value</code>. <Link to="/devices">Show all devices</Link>
        </p>
      </Empty>
    )
  }
  return (
    <Empty icon="devices" title="No devices on the roll yet">
      <p>A device may connect once it is registered and has a certificate. Its key never leaves it.</p>
      {mayEnroll ? (
        <Link className="button primary" to="/enroll">
          Enroll the first device
        </Link>
      ) : (
        <p>An operator with the role enroller can enroll the first one.</p>
      )}
    </Empty>
  )
}
