/** Which kind of browser came, by its User-Agent (experience.md 2.2). A guess about what to show, never about who pays. */

export type Entry = 'wechat' | 'wechat-desktop' | 'mini-program' | 'wecom' | 'phone' | 'desktop'

/** @param userAgent the request's header */
export function entryOf(userAgent: string): Entry {
  const agent = userAgent.toLowerCase()
  // Corporate WeChat calls itself WeChat as well.
  if (agent.includes('wxwork')) return 'wecom'
  if (agent.includes('micromessenger')) {
    if (agent.includes('miniprogram')) return 'mini-program'
    return /windowswechat|macwechat|windows nt|macintosh/.test(agent) ? 'wechat-desktop' : 'wechat'
  }
  return /android|iphone|ipad|ipod|harmony|mobile/.test(agent) ? 'phone' : 'desktop'
}

/** Does the cashier itself run there: inside WeChat, where its bridge is? */
export function paysHere(entry: Entry): boolean {
  return entry === 'wechat' || entry === 'wechat-desktop'
}

export type Language = 'zh-CN' | 'en'

/**
 * The language of a page: the link's `lang`, then the browser's wish, then the configured one.
 * @param asked the query parameter
 * @param accepted the Accept-Language header
 */
export function languageOf(asked: unknown, accepted: string | undefined, usual: Language): Language {
  const direct = typeof asked === 'string' ? known(asked) : undefined
  if (direct !== undefined) return direct
  const wishes = (accepted ?? '')
    .slice(0, 200)
    .split(',')
    .map((part, index) => {
      const [tag = '', ...parameters] = part.trim().split(';')
      const quality = /^\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*$/.exec(parameters.join(';'))?.[1] ?? '1'
      // Compared as text: 1 and 0.9 sort as they should once padded, and no number is parsed.
      return { tag, quality: quality.padEnd(5, quality.includes('.') ? '0' : ' '), index }
    })
    .toSorted((a, b) => (a.quality === b.quality ? a.index - b.index : a.quality < b.quality ? 1 : -1))
  for (const { tag } of wishes) {
    const language = known(tag)
    if (language !== undefined) return language
  }
  return usual
}

function known(tag: string): Language | undefined {
  if (/^zh(?:-|$)/i.test(tag)) return 'zh-CN'
  return /^en(?:-|$)/i.test(tag) ? 'en' : undefined
}
