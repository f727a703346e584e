// Which page an address shows.
import { AccessPage } from '../pages/access/access-page.tsx'
import { ApprovalsPage } from '../pages/approvals/approvals-page.tsx'
import { AuditPage } from '../pages/audit/audit-page.tsx'
import { DevicePage } from '../pages/device/device-page.tsx'
import { DevicesPage } from '../pages/devices/devices-page.tsx'
import { EnrollPage } from '../pages/enroll/enroll-page.tsx'
import { IssuerPage } from '../pages/issuers/issuer-page.tsx'
import { IssuersPage } from '../pages/issuers/issuers-page.tsx'
import { LivePage } from '../pages/live/live-page.tsx'
import { NotFoundPage } from '../pages/not-found-page.tsx'
import { OverviewPage } from '../pages/overview/overview-page.tsx'
import { PoliciesPage } from '../pages/policies/policies-page.tsx'
import { PolicyPage } from '../pages/policies/policy-page.tsx'
import { RetainedPage } from '../pages/retained/retained-page.tsx'
import { SessionsPage } from '../pages/sessions/sessions-page.tsx'
import { SettingsPage } from '../pages/settings/settings-page.tsx'
import { WebhooksPage } from '../pages/webhooks/webhooks-page.tsx'
import { useRoute } from './location.ts'

export function Outlet() {
  const { path } = useRoute()
  const [, first = '', second, ...more] = path.replace(/\/$/, '').split('/')
  if (more.length > 0) return <NotFoundPage />
  if (second === undefined) {
    switch (first) {
      case '':
        return <OverviewPage />
      case 'devices':
        return <DevicesPage />
      case 'enroll':
        return <EnrollPage />
      case 'approvals':
        return <ApprovalsPage />
      case 'policies':
        return <PoliciesPage />
      case 'issuers':
        return <IssuersPage />
      case 'live':
        return <LivePage />
      case 'access':
        return <AccessPage />
      case 'audit':
        return <AuditPage />
      case 'sessions':
        return <SessionsPage />
      case 'retained':
        return <RetainedPage />
      case 'settings':
        return <SettingsPage />
      case 'webhooks':
        return <WebhooksPage />
    }
    return <NotFoundPage />
  }
  const name = decoded(second)
  if (first === 'devices' && name !== null) return <DevicePage key={name} id={name} />
  if (first === 'issuers' && name !== null) return <IssuerPage key={name} id={name} />
  if (first === 'policies' && name !== null) return <PolicyPage key={name} name={name} />
  return <NotFoundPage />
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}
