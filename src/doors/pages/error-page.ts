import { PROBLEMS, type ProblemCode } from '../../base/problem.ts'
import { document, escapeHtml, type Page } from '../../features/enrollment-profiles/index.ts'

/** The help page that a problem's `type` opens: what the error means and what to do. */
export function errorPage(code: ProblemCode): Page {
  const [status, title, hint] = PROBLEMS[code]
  const main = `<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(hint)}</p>
<p class="soft"><code>${escapeHtml(code)}</code>, HTTP ${status}</p>`
  return document(200, title, main)
}
