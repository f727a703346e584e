// Icons beside words. Never the only sign of something: without them, nothing is missed.
const paths = {
  overview: 'M3 12h4l3-8 4 16 3-8h4',
  devices: 'M6 4h12v16H6zM10 17h4M9 8h6',
  enroll: 'M12 5v14M5 12h14',
  approvals: 'M9 12l2 2 4-4M12 3l7 3v6c0 4.5-3 7.5-7 9-4-1.5-7-4.5-7-9V6z',
  issuers: 'M12 14a5 5 0 1 0 0-10 5 5 0 0 0 0 10zM9 13l-2 8 5-3 5 3-2-8',
  policies: 'M6 3h9l4 4v14H6zM14 3v5h5M9 13h6M9 17h4',
  audit: 'M4 6h11M4 12h9M4 18h6M15 17l2.5 2.5L22 14',
  live: 'M4.9 19a10 10 0 0 1 0-14M19.1 5a10 10 0 0 1 0 14M8 16a5.5 5.5 0 0 1 0-8M16 8a5.5 5.5 0 0 1 0 8M12 12h.01',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12.5l4.5 4.5L19 7',
  warn: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4',
  out: 'M15 4h5v16h-5M10 8l-4 4 4 4M6 12h10',
  left: 'M15 5l-7 7 7 7',
  key: 'M15 13a5 5 0 1 0-4.6-3L3 17.5V21h4v-2h2v-2h2l1.4-1.4A5 5 0 0 0 15 13zM16 8h.01',
  webhooks: 'M4 12h10M10 7l5 5-5 5M17 5h3v14h-3',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4v6M9 14v6',
  sessions: 'M7 7h13M16 3l4 4-4 4M17 17H4M8 13l-4 4 4 4',
  retained: 'M9 3h6l-1 6 4 4H6l4-4zM12 13v8',
  upload: 'M12 15V4M7 9l5-5 5 5M4 15v5h16v-5',
  pause: 'M9 5v14M15 5v14',
  play: 'M7 5l12 7-12 7z',
  cut: 'M4 4l16 16M9 6a3 3 0 1 1-3 3M9 18a3 3 0 1 0-3-3M20 5L9 15',
  download: 'M12 4v11M7 10l5 5 5-5M4 20h16',
} as const
export type IconName = keyof typeof paths

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  )
}
