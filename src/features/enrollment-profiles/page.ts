import type { Deps } from '../../base/deps.ts'
import { Problem } from '../../base/problem.ts'
import { checkinUrlOf } from './checkin-address.ts'
import { document, escapeHtml, listOf, type Page } from './html.ts'
import { withLink } from './open-link.ts'
import type { PushTopics } from './push-topics.ts'
import { rightsInWords } from './rights-in-words.ts'
import type { Link } from './store.ts'

export { document, escapeHtml, type Page } from './html.ts'

/**
 * The page behind a link: what the organization will see and can do, then a form that fetches the profile. Looking uses
 * nothing up. A refusal is a page too; anything that is not a Problem is thrown on.
 */
export async function enrollmentPage(
  deps: Deps, push: PushTopics, tokenOrCode: string, remoteAddress: string,
): Promise<Page> {
  try {
    return await withLink(deps, tokenOrCode, remoteAddress, async (link) => {
      if (!(await push.defaultTopic(deps.db.read))) throw new Problem('push_unavailable')
      checkinUrlOf(deps.config, link)
      return renderPage(deps.config.organization, link, tokenOrCode)
    })
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return problemPage(deps.config.organization, error)
  }
}

/** The page at /enroll: a form for the code that somebody was told. */
export function codePage(organization: string): Page {
  const main = `<h1>Enroll this device</h1>
<p>Type the code that ${escapeHtml(organization)} gave you.</p>
<form method="post" action="/enroll">
<label for="code">Code</label>
<input id="code" name="code" autocomplete="off" autocapitalize="characters" spellcheck="false" inputmode="text" maxlength="12" placeholder="K7Q4-M2XP" required>
<button type="submit">Go on</button>
</form>`
  return document(200, `Enroll - ${organization}`, main)
}

/** The page that says no, in words for the person who holds the phone. */
export function problemPage(organization: string, problem: Problem): Page {
  const { title, text } = words(organization, problem)
  const main = `<h1>${escapeHtml(title)}</h1>\n<p>${escapeHtml(text)}</p>`
  const page = document(problem.status, title, main)
  const wait = problem.options.retryAfterSeconds
  return wait === undefined ? page : { ...page, retryAfterSeconds: wait }
}

/**
 * The page of one link. `tokenOrCode` is what the person came with: a typed code must not turn into the longer-lived
 * token.
 */
export function renderPage(organization: string, link: Link, tokenOrCode: string): Page {
  const name = escapeHtml(organization)
  const { canSee, canDo, never } = rightsInWords(link.accessRights)
  const main = `<h1>Manage this device</h1>
<p>${name} will manage this device${link.ownership === 'personal' ? ', which is yours' : ''}.
Read what that means, then download the profile.</p>
${listOf(`What ${organization} can see`, canSee)}
${listOf(`What ${organization} can do`, canDo)}
${listOf(`What ${organization} can never see or do`, never)}
<form method="post" action="/e/${escapeHtml(encodeURIComponent(tokenOrCode))}/profile">
<button type="submit">Download profile</button>
</form>
<section>
<h2>Then</h2>
<ol>
<li>Open <strong>Settings</strong> and tap <strong>Profile Downloaded</strong>.</li>
<li>Tap <strong>Install</strong> and enter your passcode.</li>
<li>Tap <strong>Install</strong> again, then <strong>Trust</strong>.</li>
</ol>
<p class="soft">Install it within 8 minutes: after that the device deletes it, and you download it again here.
Use Safari; other browsers may not hand the profile to Settings.
If another profile waits in Settings, remove that one first.</p>
<p class="soft">With Stolen Device Protection on and away from home or work,
the device may ask you to wait for an hour.</p>
</section>`
  return document(200, `Manage this device - ${organization}`, main)
}

function words(organization: string, problem: Problem): { title: string; text: string } {
  if (problem.code === 'link_gone') {
    const why = problem.detail ? `${problem.detail} ` : ''
    return { title: 'This link cannot be used', text: `${why}Ask whoever gave it to you for a new one.` }
  }
  if (problem.code === 'push_unavailable' || problem.code === 'checkin_unavailable') {
    const text = `${organization} has not finished setting up its server.`
    return { title: 'Not ready yet', text: `${text} Try again later, or ask whoever gave you this link.` }
  }
  if (problem.code === 'rate_limited') {
    return { title: 'Too many tries', text: 'Wait ten minutes, then type the code again.' }
  }
  if (problem.code === 'plain_http') {
    return { title: 'This page needs a secure connection', text: 'Open the address again with https:// in front of it.' }
  }
  if (problem.status === 404) return { title: 'Nothing is here', text: 'Compare the address with what you were given.' }
  return { title: 'This did not work', text: 'Try again in a moment.' }
}
