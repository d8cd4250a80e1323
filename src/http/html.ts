/** Pages for people: a tag that escapes whatever is put into it, so that forgetting is safe and only marking is work. */

/** Text that is markup already. Made by `html` and `trusted` alone. */
export type Html = { readonly markup: string }

type Value = Html | string | number | false | undefined | readonly Html[]

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** A text as it must be written inside an element or a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character)
}

/** Markup of our own making that needs no escaping. */
export function trusted(markup: string): Html {
  return { markup }
}

/** A template whose values are escaped unless they are markup; false and undefined leave nothing behind. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  let markup = parts[0] ?? ''
  for (const [index, value] of values.entries()) markup += markupOf(value) + (parts[index + 1] ?? '')
  return { markup }
}

function markupOf(value: Value): string {
  if (value === false || value === undefined) return ''
  if (typeof value === 'string' || typeof value === 'number') return escapeHtml(String(value))
  return 'markup' in value ? value.markup : value.map(({ markup }) => markup).join('')
}

/**
 * A value for a script of type application/json: what a strict content security policy lets pass, because it is never
 * executed. No character in it can end the element.
 */
export function jsonScript(id: string, value: unknown): Html {
  const json = JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  return { markup: `<script type="application/json" id="${escapeHtml(id)}">${json}</script>` }
}
