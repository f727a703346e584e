// The console in the browser: what the API shows and takes, as pages. Knows the service through its public API alone.
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { ErrorPage } from './shell/error-page.tsx'
import { applyTheme } from './shell/theme.ts'
import './style/tokens.css'
import './style/base.css'
import './style/shell.css'
import './style/components.css'
import './style/dialogs.css'
import './style/tables.css'
import './style/charts.css'
import './style/pages.css'

applyTheme()
const element = document.getElementById('console')!
// A fault of a page takes the page away: what is left says so, and asks nothing of what failed.
const root = createRoot(element, {
  onUncaughtError: () => setTimeout(() => createRoot(element).render(<ErrorPage />)),
})
root.render(<App />)
