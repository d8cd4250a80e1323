/** Markup that is safe to send: only `html` makes it. */
export type Html = { readonly markup: string }

type Value = string | number | Html | undefined | readonly Html[]

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const render = (value: Value): string => {
  if (value === undefined) return ''
  if (typeof value === 'string' || typeof value === 'number') {
    return String(value).replaceAll(/[&<>"']/g, (mark) => escapes[mark] ?? '')
  }
  return 'markup' in value ? value.markup : value.map((part) => part.markup).join('')
}

/**
 * Template tag for markup: every value is escaped unless it is markup itself, so that forgetting is harmless.
 * Attribute values must stand in double quotes.
 */
export function html(texts: TemplateStringsArray, ...values: readonly Value[]): Html {
  return { markup: texts.map((text, index) => text + render(values[index])).join('') }
}
