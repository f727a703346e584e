// The console in the browser: what the API shows and takes, as pages. Knows the service through its public API alone.
import { createRoot } from 'react-dom/client'

createRoot(document.getElementById('console')!).render(<h1>Rollcall</h1>)
