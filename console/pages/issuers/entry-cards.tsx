// How devices of a trust anchor come onto the roll by themselves: by their first connection, by the identity of their maker, by a TPM.
import type { ReactNode } from 'react'
import type { AnchorEnrollment } from '../../../client/enrollment.ts'
import type { AutoRegistration } from '../../../client/issuers.ts'
import { useQuery } from '../../api/use-query.ts'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { EntryForm } from './entry-form.tsx'

type Tpm = Pick<AnchorEnrollment, 'mode' | 'group' | 'devicesMax' | 'devices'>

export function RegistrationCard({
  path,
  now,
  onDone,
}: {
  path: string
  now: AutoRegistration & { devicesRegistered: number }
  onDone: () => void
}) {
  const { devicesRegistered, ...settings } = now
  return (
    <Card title="Registration at the first connection">
      <p className="soft small">
        A device with a certificate of this CA that is not on the roll registers itself when it connects.
        Takes the proof of the CA's key.
      </p>
      <EntryForm path={`${path}/registration`} now={settings} devices={devicesRegistered} onDone={onDone} />
    </Card>
  )
}

export function IdevidCard({ path }: { path: string }) {
  return (
    <LoadedCard<AnchorEnrollment> title="Enrollment with the maker's identity (IDevID)" path={path}>
      {({ issuerId: _, devices, ...settings }, refetch) => (
        <>
          <p className="soft small">
            A device shows the certificate it was born with, signed by this CA, and gets one of ours for its
            own key.
          </p>
          <EntryForm path={path} now={settings} devices={devices} onDone={refetch} />
        </>
      )}
    </LoadedCard>
  )
}

export function TpmCard({ path }: { path: string }) {
  return (
    <LoadedCard<Tpm & { issuerId: string }> title="Enrollment by TPM" path={path}>
      {({ issuerId: _, devices, ...settings }, refetch) => (
        <>
          <p className="soft small">
            This CA certifies endorsement keys of TPMs: a device proves that its key lies in one of them.
          </p>
          <EntryForm path={path} now={settings} devices={devices} onDone={refetch} />
        </>
      )}
    </LoadedCard>
  )
}

function LoadedCard<T>({
  title,
  path,
  children,
}: {
  title: string
  path: string
  children: (data: T, refetch: () => void) => ReactNode
}) {
  const { data, failure, loading, refetch } = useQuery<T>(path)
  return (
    <Card title={title}>
      <FailureNotice failure={failure} refetch={refetch} />
      {loading ? <Skeleton /> : null}
      {data === null ? null : children(data, refetch)}
    </Card>
  )
}
