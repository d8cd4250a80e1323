import { readFileSync, renameSync, writeFileSync } from 'node:fs'

/** The one line that decides which channel takes the payment, before and after. */
export type RouteChange = { before: string; after: string; line: number; changed: boolean }

/** A route's channels, on one line or several: `"method": "wechat_jsapi" … "channels": ["wechat-main"]`. */
const routePattern = (method: string): RegExp =>
  new RegExp(`("method"\\s*:\\s*"${method}"[^{}]*?"channels"\\s*:\\s*)\\[[^\\]]*\\]`)

const lineAt = (text: string, index: number): { line: string; number: number } => {
  const start = text.lastIndexOf('\n', index) + 1
  const end = text.indexOf('\n', index)
  return {
    line: text.slice(start, end < 0 ? text.length : end).trim(),
    number: text.slice(0, start).split('\n').length,
  }
}

/**
 * Points the route of a method at one channel, by editing text: the rest of the file keeps its comments and layout.
 * @param method the method's own route is edited, or the one for every method when there is none
 * @throws Error when the configuration has no such route with a list of channels
 */
export function changeRoute(text: string, method: string, channel: string): { text: string; change: RouteChange } {
  if (!/^[a-z0-9-]{1,32}$/.test(channel)) throw new Error('not the name of a channel')
  const match = routePattern(method).exec(text) ?? routePattern('\\*').exec(text)
  if (match === null) throw new Error(`the configuration has no route with channels for ${method}`)
  const lead = match[1] ?? ''
  const edited = `${text.slice(0, match.index)}${lead}["${channel}"]${text.slice(match.index + match[0].length)}`
  const place = match.index + lead.length
  const before = lineAt(text, place)
  return {
    text: edited,
    change: {
      before: before.line,
      after: lineAt(edited, place).line,
      line: before.number,
      changed: edited !== text,
    },
  }
}

/** Does the same to the gateway's configuration file, which is replaced whole; an unchanged file is not touched. */
export function changeRouteInFile(path: string, method: string, channel: string): RouteChange {
  const { text, change } = changeRoute(readFileSync(path, 'utf8'), method, channel)
  if (change.changed) {
    writeFileSync(`${path}.new`, text, { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }
  return change
}
