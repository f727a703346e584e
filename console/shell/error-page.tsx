// Shown instead of a page that threw an error: an explanation and a button to reload.
import { Notice } from '../components/notice.tsx'

export function ErrorPage() {
  return (
    <main className="sign-in">
      <Notice tone="bad" title="This page failed.">
        <p className="small">
          Nothing was changed by that. Load it again; where it fails again, the rollcall command does the
          same, and its makers would like to know.
        </p>
        <button type="button" className="button small" onClick={() => location.reload()}>
          Load the page again
        </button>
      </Notice>
    </main>
  )
}
