/** What launch parameters or a pre-order ask for, as the wallet shows it. Amounts are integers in fen. */
export type Asked = { provider: 'wechat-pay' | 'huifu'; amount: number; description: string; state: string }

export type WalletAct = 'pay' | 'cancel' | 'fail'

/** Speaks to the control door in place of the payer's phone; it cannot do more than a payer could. */
export type Wallet = {
  /** @returns what is to be paid, or a sentence why these parameters open no wallet */
  ask(parameters: Record<string, string>): Promise<Asked | string>
  /** @returns undefined when the money moved (or nothing had to), else why not */
  act(act: WalletAct, parameters: Record<string, string>, openid: string | undefined): Promise<string | undefined>
  /** A fresh login code for a mini-program, as wx.login gives it. */
  loginCode(appid: string, openid: string): Promise<string>
}

const FIELDS = ['appId', 'timeStamp', 'nonceStr', 'package', 'signType', 'paySign']
/** A hosted order is named by its pre-order; no other member reaches the control door. */
const HOSTED = ['pre_order_id', 't']

type Json = Record<string, unknown>

const objectOf = (value: unknown): Json => (typeof value === 'object' && value !== null ? { ...value } : {})
const textOf = (object: Json, name: string): string => {
  const value = object[name]
  return typeof value === 'string' ? value : ''
}

const chosen = (parameters: Record<string, string>, names: readonly string[]): URLSearchParams =>
  new URLSearchParams(
    names.flatMap((name) => (parameters[name] === undefined ? [] : [[name, parameters[name]] as [string, string]])),
  )

/** WeChat's orders are found by their launch parameters, Huifu's by the package in them: the page need not know which. */
export function createWallet(controlUrl: string): Wallet {
  async function call(method: 'GET' | 'POST', path: string, form: URLSearchParams) {
    const url = new URL(path, controlUrl)
    if (method === 'GET') url.search = form.toString()
    const response = await fetch(url, { method, ...(method === 'POST' ? { body: form } : {}) })
    const body = objectOf(await response.json().catch(() => undefined))
    return { ok: response.ok, status: response.status, body }
  }
  const huifuForm = (parameters: Record<string, string>): URLSearchParams => {
    const form = chosen(parameters, HOSTED)
    if (parameters['package'] !== undefined) form.set('pay_package', parameters['package'])
    return form
  }
  const askedOf = (provider: Asked['provider'], body: Json): Asked => ({
    provider,
    amount: typeof body['amount'] === 'number' ? body['amount'] : 0,
    description: textOf(body, 'description'),
    state: textOf(body, 'state'),
  })
  const isHosted = (parameters: Record<string, string>): boolean => HOSTED.some((name) => name in parameters)

  async function ask(parameters: Record<string, string>): Promise<Asked | string> {
    if (!isHosted(parameters)) {
      const direct = await call('POST', '/_sim/wechat-pay/launch', chosen(parameters, FIELDS))
      if (direct.ok) return askedOf('wechat-pay', direct.body)
      if (direct.status !== 404) return textOf(direct.body, 'error')
    }
    const hosted = await call('GET', '/_sim/huifu/order', huifuForm(parameters))
    return hosted.ok ? askedOf('huifu', hosted.body) : 'prepay_id 无效'
  }

  return {
    ask,
    async act(act, parameters, openid) {
      const asked = await ask(parameters)
      if (typeof asked === 'string') return asked
      if (act === 'cancel') return undefined
      const direct = asked.provider === 'wechat-pay'
      // Huifu has no failed attempt that leaves an order payable: there a failure is the bridge's word only.
      if (act === 'fail' && !direct) return undefined
      const form = direct ? chosen(parameters, FIELDS) : huifuForm(parameters)
      if (act === 'fail') form.set('outcome', 'fail')
      else if (openid !== undefined) form.set('openid', openid)
      const done = await call('POST', direct ? '/_sim/wechat-pay/pay' : '/_sim/huifu/pay', form)
      return done.ok ? undefined : textOf(done.body, 'error') || 'the wallet refused'
    },
    async loginCode(appid, openid) {
      const minted = await call('POST', '/_sim/wechat-pay/code', new URLSearchParams({ appid, openid }))
      if (!minted.ok) throw new Error(`no login code: ${textOf(minted.body, 'error')}`)
      return textOf(minted.body, 'code')
    },
  }
}
