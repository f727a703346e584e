// A request to a service, as the benchmark of its event loop sends it.

export type Asked = {
  path: string
  body?: unknown
  raw?: string | Buffer
  type?: string
  headers?: Record<string, string>
}
