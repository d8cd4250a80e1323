/*
 * A mini-program that does what the sample does (experience.md 3.2), played by a page: wx.login, a session for the launch
 * token, pay, confirm with the server, and back to the app after scene 1069 only (wechatpay.md 5.5).
 * Query: path, query (as the mini-program gets them), scene, user_name, back: the app's page.
 */
;(() => {
  'use strict'
  const entered = new URLSearchParams(location.search)
  const options = new URLSearchParams(entered.get('query') || '')
  const at = (id) => document.getElementById(id)
  const log = (text) => {
    const line = document.createElement('li')
    line.textContent = text
    at('log').append(line)
  }
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  const yuan = (fen) => {
    const digits = String(fen).padStart(3, '0')
    return `¥${digits.slice(0, -2)}.${digits.slice(-2)}`
  }
  const say = (status, text) => {
    at('status').dataset.status = status
    at('status').textContent = text
    at('pay').hidden = !['ready', 'cancelled', 'failed'].includes(status)
    at('again').hidden = status !== 'slow'
    at('pay').disabled = false
    log(text)
  }
  const call = async (method, path, body, session) => {
    const response = await fetch(path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(session === undefined ? {} : { Authorization: `Bearer ${session}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = await response.json().catch(() => ({}))
    return { ok: response.ok, status: response.status, answer }
  }
  const refusal = ({ status, answer }) =>
    `${answer.detail || answer.title || answer.problem || 'refused'} (${status}${answer.code ? ` ${answer.code}` : ''})`
  const show = (order) => {
    at('subject').textContent = order.subject || order.description || 'Order'
    at('amount').textContent = yuan(order.amount)
  }

  /** The merchant's own mini-program, on the gateway's /mp/v1. */
  const own = () => {
    let session
    return {
      async enter() {
        const { answer } = await call('POST', '/__wechat/login', {})
        log('wx.login gave a code')
        const opened = await call('POST', '/mp/v1/sessions', { token: options.get('t') || '', code: answer.code })
        if (!opened.ok) throw new Error(refusal(opened))
        session = opened.answer.session
        log('the gateway opened a session')
        return opened.answer.order
      },
      async pay() {
        const started = await call('POST', '/mp/v1/pay', {}, session)
        if (!started.ok) throw new Error(refusal(started))
        return window.__simulatedWallet('mini', started.answer.payment)
      },
      async order(said) {
        const asked = await call('GET', `/mp/v1/order?hint=${said}`, undefined, session)
        if (!asked.ok) throw new Error(refusal(asked))
        return asked.answer.order
      },
    }
  }

  /** Huifu's cashier mini-program, for merchants without one of their own (huifu-dougong.md 11). */
  const hosted = () => {
    const named = options.get('p') ? { pre_order_id: options.get('p') } : { t: options.get('t') || '' }
    const ask = async () => {
      const asked = await call('POST', '/__wechat/wallet', { kind: 'hosted', ...named })
      if (!asked.ok) throw new Error(refusal(asked))
      return { ...asked.answer, status: { P: 'open', S: 'paid', F: 'closed' }[asked.answer.state] }
    }
    return { enter: ask, pay: () => window.__simulatedWallet('hosted', named), order: ask }
  }

  const isHosted = (entered.get('path') || '').replace(/^\//, '') === 'pages/cashier/cashier'
  const program = isHosted ? hosted() : own()

  const done = (order) => {
    if (order.status === 'paid') say('paid', 'Paid 支付成功')
    else if (order.status === 'closed') say('closed', 'The order is closed 订单已关闭')
    else return false
    return true
  }
  /** What the wallet said only decides how often the server is asked (experience.md 2.5). */
  const confirm = async (said) => {
    say('confirming', 'Confirming the result 正在确认支付结果…')
    for (const pause of said === 'ok' ? [0, 1000, 1000, 2000, 3000, 5000] : [0, 1200]) {
      await wait(pause)
      if (done(await program.order(said))) return
    }
    if (said === 'ok') say('slow', 'Not confirmed yet. Do not pay twice. 结果还在确认中')
    else if (said === 'cancel') say('cancelled', 'You cancelled 你已取消支付')
    else say('failed', 'The payment failed 支付失败')
  }
  const guarded = async (run) => {
    try {
      await run()
    } catch (error) {
      say('refused', error.message)
    }
  }

  at('pay').addEventListener('click', () => {
    if (at('pay').disabled) return
    at('pay').disabled = true
    void guarded(async () => confirm(await program.pay()))
  })
  at('again').addEventListener('click', () => void guarded(() => confirm('ok')))
  const back = entered.get('back')
  if (entered.get('scene') === '1069' && back !== null && back.startsWith('/__app')) {
    at('back').hidden = false
    at('back').addEventListener('click', () => location.assign(`${back}#back`))
  } else {
    log('invalid scene: no way back to an app 请手动返回')
  }
  void guarded(async () => {
    const order = await program.enter()
    show(order)
    if (!done(order)) say('ready', 'Ready to pay 待支付')
  })
})()
