import http from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { until, type World } from '../harness.ts'
import type { Parcel } from './notices.ts'

/** Knocking at the notification doors, and looking at what has changed behind them. */

export const money = [
  'orders',
  'payments',
  'refunds',
  'refund_submissions',
  'events',
  'deliveries',
  'merchant_sequences',
] as const
export const evidence = ['notifications', 'discrepancies'] as const

/** Every row of these tables, in an order that does not depend on the database. */
export async function snapshot(world: World, tables: readonly string[]): Promise<Record<string, unknown>> {
  const rows = await Promise.all(
    tables.map(
      async (table) =>
        [
          table,
          await world
            .db(table)
            .orderBy(
              table === 'refund_submissions' ? 'refund_id' : table === 'merchant_sequences' ? 'merchant_id' : 'id',
            ),
        ] as const,
    ),
  )
  return Object.fromEntries(rows)
}

export type Answer = { readonly status: number; readonly body: string }
export type Sent = { readonly headers: Readonly<Record<string, string | readonly string[]>>; readonly body: Buffer }

/** One POST with exactly these headers, doubled ones included. */
export function knock(url: string, { headers, body }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const flat = Object.entries(headers).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value]] : value.map((one) => [name, one]),
    )
    const raw = [...flat, ['Content-Length', String(body.length)], ['Host', new URL(url).host]].flat()
    const request = http.request(url, { method: 'POST', headers: raw, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** Chunks for as long as the door takes them, one second at most. */
export async function endless(port: number, path: string): Promise<{ sent: number; received: string }> {
  const socket = connect(port, '127.0.0.1')
  const seen = { received: '', open: true }
  socket.on('data', (chunk: Buffer) => (seen.received += chunk.toString('latin1')))
  socket.on('error', () => (seen.open = false))
  socket.on('close', () => (seen.open = false))
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n`,
  )
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
  let sent = 0
  const end = Date.now() + 2000
  while (seen.open && Date.now() < end && seen.received === '') {
    socket.write(chunk)
    sent += 0x4000
    await sleep(1)
  }
  await until('an answer', () => seen.received !== '' || !seen.open)
  socket.destroy()
  return { sent, received: seen.received }
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One byte of one signed header or of the signed part of the body becomes another one that means something else. */
export function mutate(parcel: Parcel, random: () => number): { parcel: Parcel; what: string } {
  const pick = (length: number) => Math.floor(random() * length)
  const names = Object.keys(parcel.headers).filter((name) => name.startsWith('Wechatpay-'))
  const name = names[pick(names.length)]
  if (name !== undefined && random() < 0.5) {
    const value = String(parcel.headers[name])
    const at = pick(value.length)
    const other = 'AZaz09+/=_-'.replace(value[at] ?? '', '')
    const changed = `${value.slice(0, at)}${other[pick(other.length)] ?? 'x'}${value.slice(at + 1)}`
    return { parcel: { ...parcel, headers: { ...parcel.headers, [name]: changed } }, what: `${name} at ${String(at)}` }
  }
  // Huifu's form begins with words for people that nobody signs.
  const from = Math.max(0, parcel.body.indexOf('sign='))
  for (;;) {
    const body = Buffer.from(parcel.body)
    const at = from + pick(body.length - from)
    body[at] = pick(256)
    if (meaning(body) !== meaning(parcel.body)) return { parcel: { ...parcel, body }, what: `body at ${String(at)}` }
  }
}

/** Two spellings of one form (`%2c` and `%2C`, `%20` and `+`) are the same message; two bodies of JSON never are. */
function meaning(body: Buffer): string {
  const text = body.toString('latin1')
  return text.startsWith('{') ? text : JSON.stringify([...new URLSearchParams(text)])
}
