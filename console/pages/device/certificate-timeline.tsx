// Certificates as bars on a line of time: which were valid when, and where now is.
import type { Certificate } from '../../../client/types.ts'
import { formatDay } from '../../labels/formats.ts'

const WIDTH = 800
const BAR = 14
const GAP = 8
const TOP = 18
const admitting = new Set(['issued', 'active', 'superseded'])

export function CertificateTimeline({ certificates }: { certificates: readonly Certificate[] }) {
  const now = Date.now()
  const lives = certificates.map(certificate => ({
    certificate,
    from: Date.parse(certificate.notBefore),
    ends: Date.parse(certificate.notAfter),
    to: Math.min(
      Date.parse(certificate.notAfter),
      certificate.revokedAt === null ? Infinity : Date.parse(certificate.revokedAt),
    ),
  }))
  const begin = Math.min(now, ...lives.map(({ from }) => from))
  const end = Math.max(now, ...lives.map(({ ends }) => ends))
  const x = (at: number) => ((at - begin) / Math.max(1, end - begin)) * WIDTH
  const height = TOP + lives.length * (BAR + GAP) + 4
  return (
    <figure className="stack tight">
      <svg
        className="timeline"
        viewBox={`0 0 ${WIDTH} ${height}`}
        height={height}
        preserveAspectRatio="none"
        role="img"
      >
        <title>
          {lives
            .map(
              ({ certificate, from, to }) =>
                `${certificate.status} certificate from ${formatDay(from)} to ${formatDay(to)}`,
            )
            .join('; ')}
        </title>
        <line className="axis" x1="0" x2={WIDTH} y1={TOP - 6} y2={TOP - 6} />
        {lives.map(({ certificate, from, to, ends }, index) => (
          <g key={certificate.fingerprint} transform={`translate(0 ${TOP + index * (BAR + GAP)})`}>
            <rect
              className="life whole"
              x={x(from)}
              width={Math.max(4, x(ends) - x(from))}
              height={BAR}
              rx="3"
            />
            <rect
              className={`life ${admitting.has(certificate.status) ? 'admits' : ''} ${certificate.status === 'revoked' ? 'bad' : ''}`}
              x={x(from)}
              width={Math.max(4, x(to) - x(from))}
              height={BAR}
              rx="3"
            />
          </g>
        ))}
        <line className="now" x1={x(now)} x2={x(now)} y1="0" y2={height} />
      </svg>
      <figcaption className="row apart faint small">
        <span>{formatDay(begin)}</span>
        <span>the line is now</span>
        <span>{formatDay(end)}</span>
      </figcaption>
    </figure>
  )
}
