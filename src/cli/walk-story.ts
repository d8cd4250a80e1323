import { setTimeout as sleep } from 'node:timers/promises'
import { objectOf, textOf, wholeOf, type Json } from './api.ts'
import { CommandFailure } from './exit-codes.ts'

/** Where the walk takes place. Everything in it is done over HTTP, as the app, the mini-program and the wallet do it. */
export type Ground = {
  readonly channel: string
  readonly shopUrl: string
  readonly wechatUrl: string
  /** Tells one step, with what it showed. */
  readonly step: (title: string, detail?: string) => void
}

/** One order on its way; `token` is the launch token of its app. */
export type Walker = { readonly no: string; readonly userName: string; readonly path: string; readonly token: string }

export type Walked = { readonly channel: string; readonly order: string; readonly paid: number }

const patienceMs = 20_000
const price = 88

type Answer = { readonly status: number; readonly body: Json; readonly location: string }

async function send(url: URL, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(patienceMs), ...init })
  const body = objectOf(await response.json().catch(() => undefined))
  return { status: response.status, body, location: response.headers.get('location') ?? '' }
}

const asJson = (person: Person, body: object, session?: string): RequestInit => ({
  method: 'POST',
  body: JSON.stringify(body),
  headers: { 'Content-Type': 'application/json', ...phoneOf(person, session) },
})

/** Two people hold two phones; the fake WeChat tells them apart by its cookie. */
type Person = 'a' | 'b'
const phoneOf = (person: Person, session?: string): Record<string, string> => ({
  Cookie: `sim_wechat_person=${person}`,
  ...(session === undefined ? {} : { Authorization: `Bearer ${session}` }),
})

function must(met: boolean, what: string, answer?: Answer): asserts met {
  if (met) return
  const shown =
    answer === undefined
      ? ''
      : `: ${String(answer.status)} ${textOf(answer.body, 'code')} ${textOf(answer.body, 'detail')}`
  throw new CommandFailure(`${what}${shown}`)
}

async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const found = await ask()
    if (found !== undefined) return found
    if (Date.now() > deadline) throw new CommandFailure(`waited ${String(patienceMs / 1000)} s in vain for ${what}`)
    await sleep(150)
  }
}

/** The app's server, which knows what the webhooks told and nothing else. */
async function appAsks(ground: Ground, no: string): Promise<string> {
  return textOf((await send(new URL(`/orders/${no}/status.json`, ground.shopUrl))).body, 'status')
}

/** The app gets what it hands to WeChat's OpenSDK from its server (experience.md 4.1). */
export async function launch(ground: Ground, no: string): Promise<Walker> {
  const answer = await until('the launch', async () => {
    const asked = await send(new URL(`/orders/${no}/app`, ground.shopUrl))
    return asked.location.includes('/__app?') ? asked : undefined
  })
  const { searchParams } = new URL(answer.location)
  const path = searchParams.get('path') ?? ''
  const userName = searchParams.get('user_name') ?? ''
  must(userName.startsWith('gh_'), 'the launch names no mini-program')
  const token = new URLSearchParams(path.split('?')[1] ?? '').get('t') ?? ''
  must(token !== '' && !path.includes(no), 'the path carries no token, or more than that')
  return { no, userName, path, token }
}

/** An order of the shop's app. */
export async function order(ground: Ground): Promise<Walker> {
  const body = new URLSearchParams({ product: 'oolong', channel: ground.channel })
  const bought = await send(new URL('/buy', ground.shopUrl), { method: 'POST', body })
  const no = bought.location.split('/').at(-1) ?? ''
  must(bought.status === 303 && no !== '', 'the shop sold nothing', bought)
  return launch(ground, no)
}

/** What the mini-program does when it appears: wx.login, and a session for the token it was opened with (experience.md 3.2). */
export async function enter(ground: Ground, person: Person, token: string): Promise<Answer> {
  const login = await send(new URL('/__wechat/login', ground.wechatUrl), asJson(person, {}))
  must(login.status === 200, 'wx.login gave no code', login)
  const code = textOf(login.body, 'code')
  return send(new URL('/mp/v1/sessions', ground.wechatUrl), asJson(person, { token, code }))
}

/** Refused, and with which code. */
export function expectRefusal(answer: Answer, code: string, what: string): void {
  must(answer.status >= 400 && textOf(answer.body, 'code') === code, `${what} was not refused as ${code}`, answer)
}

async function statusFor(ground: Ground, session: string, hint: string): Promise<string> {
  const url = new URL(`/mp/v1/order?hint=${hint}`, ground.wechatUrl)
  const answer = await send(url, { headers: phoneOf('a', session) })
  return textOf(objectOf(answer.body['order']), 'status')
}

async function wallet(ground: Ground, payment: Json, act?: string): Promise<Answer> {
  const body = { kind: 'mini', ...payment, ...(act === undefined ? {} : { act }) }
  return send(new URL('/__wechat/wallet', ground.wechatUrl), asJson('a', body))
}

/** App → mini-program → paid → back to the app, with somebody else trying to come along. */
export async function walkPaid(ground: Ground): Promise<Walked> {
  const { step } = ground
  const walker = await order(ground)
  must((await appAsks(ground, walker.no)) === 'open', 'the app shows a new order that is not open')
  step('app opens WeChat', `${walker.userName}, ${walker.path.slice(0, 26)}…`)

  const opened = await enter(ground, 'a', walker.token)
  const session = textOf(opened.body, 'session')
  must(opened.status === 201 && session !== '', 'the mini-program got no session', opened)
  must(wholeOf(objectOf(opened.body['order']), 'amount') === price, 'the mini-program shows another amount', opened)
  must(!JSON.stringify(opened.body).includes('oSIM'), 'an openid came back to the payer')
  step('mini-program signed in', 'wx.login code → session; the openid stayed on the server')

  expectRefusal(await enter(ground, 'b', walker.token), 'launch-taken', 'another person with the same launch')
  expectRefusal(await enter(ground, 'b', forged(walker.token)), 'launch-expired', 'a forged launch')
  step('another openid refused', 'launch-taken; a forged token is refused as well')

  const started = await send(new URL('/mp/v1/pay', ground.wechatUrl), asJson('a', {}, session))
  const payment = objectOf(started.body['payment'])
  must(started.status === 200 && payment['appId'] === undefined, 'the mini-program got no parameters', started)
  const shown = await wallet(ground, payment)
  must(wholeOf(shown.body, 'amount') === price, 'the wallet shows another amount', shown)
  const provider = ground.channel.startsWith('huifu') ? 'huifu' : 'wechat-pay'
  must(textOf(shown.body, 'provider') === provider, `the payment is not on ${ground.channel}`, shown)
  must((await wallet(ground, payment, 'cancel')).status === 200, 'the payer could not cancel')
  must((await statusFor(ground, session, 'cancel')) === 'open', 'a cancelled payment is not open')
  step('payer cancelled first', 'the server says open: another tap is offered')

  const paid = await wallet(ground, payment, 'pay')
  must(paid.status === 200, 'the payer could not pay', paid)
  await until('the confirmation in the mini-program', async () =>
    (await statusFor(ground, session, 'ok')) === 'paid' ? true : undefined,
  )
  step('paid, says the server', 'the wallet’s own word was only a reason to ask')

  await until('the webhook at the app’s server', async () =>
    (await appAsks(ground, walker.no)) === 'paid' ? true : undefined,
  )
  step('back in the app', 'refreshed on resume: paid, by webhook')
  const again = await send(new URL('/mp/v1/pay', ground.wechatUrl), asJson('a', {}, session))
  must(again.status === 409, 'a paid order could be paid again', again)
  return { channel: ground.channel, order: walker.no, paid: price }
}

/** The last letter of the MAC changed: the order it names is right, and the signature is not. */
const forged = (token: string): string => `${token.slice(0, -2)}${token.at(-2) === 'A' ? 'B' : 'A'}${token.slice(-1)}`

/**
 * A launch that is ten minutes old opens nothing; the app, in front again, gets a fresh one for the same order.
 * @param pass lets time pass for gateway and providers, in milliseconds
 */
export async function walkExpired(ground: Ground, pass: (ms: number) => Promise<void>): Promise<void> {
  const walker = await order(ground)
  await pass(10 * 60_000)
  expectRefusal(await enter(ground, 'a', walker.token), 'launch-expired', 'a launch of ten minutes ago')
  must((await appAsks(ground, walker.no)) === 'open', 'the order of an expired launch is not open')
  const next = await launch(ground, walker.no)
  must(next.token !== walker.token, 'the second launch is the first one')
  const opened = await enter(ground, 'a', next.token)
  must(opened.status === 201, 'the fresh launch opened nothing', opened)
  ground.step('launch expired', 'launch-expired after ten minutes; the app resumed and got a fresh one')
}
