import { createHash } from 'node:crypto'

/** A page for a person: status, document, and the Content-Security-Policy that goes with it. */
export interface Page {
  status: number
  html: string
  csp: string
  /** For the header Retry-After, when waiting helps. */
  retryAfterSeconds?: number
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #5f5f66; --paper: #fff; --line: #d8d8de; --accent: #0060df }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f2f2f7; --soft: #a3a3ab; --paper: #161618; --line: #3a3a3f; --accent: #6cb2ff }
}
body { margin: 0 auto; max-width: 34rem; padding: 1.5rem 1.25rem 3rem; font: 17px/1.45 system-ui, sans-serif }
body { color: var(--ink); background: var(--paper) }
h1 { font-size: 1.6rem; line-height: 1.2 }
h2 { font-size: 1.05rem; margin: 1.5rem 0 .25rem }
ul, ol { padding-left: 1.25rem; margin: .25rem 0 }
p.soft { color: var(--soft) }
section { border-top: 1px solid var(--line); margin-top: 1.5rem }
input { font: inherit; box-sizing: border-box; width: 100%; min-height: 48px; padding: 0 .75rem; border: 1px solid var(--line); border-radius: 10px; color: var(--ink); background: var(--paper); text-transform: uppercase }
button { font: inherit; font-weight: 600; width: 100%; min-height: 48px; margin: 1rem 0 }
button { border: 0; border-radius: 10px; color: var(--paper); background: var(--accent) }
`

// Nothing but this one style sheet and a form to ourselves: a page that cannot be made to load or run anything.
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')
const ELSEWHERE = "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
const CSP = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; ${ELSEWHERE}`

/** Text that may stand in an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

/** A whole document; `title` is text, `main` is HTML whose texts are escaped already. */
export function document(status: number, title: string, main: string): Page {
  const html = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${main}
</main>
</body>
</html>
`
  return { status, html, csp: CSP }
}

/** A list with a heading; nothing when there are no lines. */
export function listOf(heading: string, lines: string[]): string {
  if (lines.length === 0) return ''
  const items = lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('\n')
  return `<h2>${escapeHtml(heading)}</h2>\n<ul>\n${items}\n</ul>`
}
