// How the console becomes files that the provisioning service hands out: one script, one style, no source from elsewhere.
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** Where a change comes from is asked of every browser; in between stands Vite. */
const service = process.env['ROLLCALL_API'] ?? 'https://127.0.0.1:8443'

export default defineConfig({
  root: import.meta.dirname,
  base: '/console/',
  // Files are emitted as they are named: a page that inlines data would need a wider content policy.
  build: { outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  plugins: [react()],
  // `npx vite console` beside a running service: the page changes as it is written.
  server: {
    proxy: { '/v1': { target: service, secure: false, changeOrigin: true, headers: { origin: service } } },
  },
})
