// The console in the browser: what the API shows and takes, as pages. Knows the service through its public API alone.
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { applyTheme } from './shell/theme.ts'
import './style/tokens.css'
import './style/base.css'
import './style/shell.css'
import './style/parts.css'
import './style/dialogs.css'
import './style/tables.css'
import './style/charts.css'
import './style/pages.css'

applyTheme()
createRoot(document.getElementById('console')!).render(<App />)
