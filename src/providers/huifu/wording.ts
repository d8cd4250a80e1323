import { firstText, textOf, type JsonObject } from './lossless.ts'

/** The words of an answer: for the code tables, and for people. */

const wordy = ['resp_desc', 'sub_resp_desc', 'org_resp_desc', 'bank_message', 'bank_desc'] as const

/** Everything an answer says in words, for the code tables. */
export function words(data: JsonObject): string {
  return wordy.map((name) => textOf(data, name) ?? '').join('\n')
}

/** The provider's own words for people: one line, no control characters, no openid, at most 200 characters. */
export function plainWords(data: JsonObject): string {
  const texts = ['resp_desc', 'bank_message'].map((name) => textOf(data, name)).filter((text) => text !== undefined)
  return tidyWords([...new Set(texts)].join(' / '))
}

/** The channel's words about the object itself: why it failed, was closed, or what became of it. */
export function detailOf(data: JsonObject): string | undefined {
  const text = firstText(data, 'bank_message', 'bank_desc', 'org_resp_desc', 'resp_desc')
  return text === undefined ? undefined : tidyWords(text)
}

function tidyWords(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, ' ').replaceAll(/\bo[\w-]{27}\b/g, '[openid]')
  return Array.from(line).slice(0, 200).join('').trim()
}
