/*
 * What WeChat puts into a page: its bridge, and the sheet on which the payer decides. Simulated: no real money.
 * The answer of the bridge is whatever the person chose to make it say, which need not be what happened.
 */
;(() => {
  'use strict'
  const yuan = (fen) => {
    const digits = String(fen).padStart(3, '0')
    return `¥${digits.slice(0, -2)}.${digits.slice(-2)}`
  }
  const make = (name, properties = {}, children = []) => {
    const element = document.createElement(name)
    for (const [key, value] of Object.entries(properties)) {
      if (key === 'text') element.textContent = value
      else element.setAttribute(key, value)
    }
    element.append(...children)
    return element
  }
  const ask = async (path, body) => {
    const response = await fetch(`/__wechat/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { ok: response.ok, ...(await response.json()) }
  }

  /** Buttons of the sheet: what is done, and what the bridge then says. */
  const choices = [
    { id: 'pay', act: 'pay', says: 'ok', text: 'Pay', zh: '支付', kind: 'primary' },
    { id: 'cancel', act: 'cancel', says: 'cancel', text: 'Cancel', zh: '取消', kind: '' },
    { id: 'fail', act: 'fail', says: 'fail', text: 'Fail', zh: '支付失败', kind: '' },
    {
      id: 'pay-say-cancel',
      act: 'pay',
      says: 'cancel',
      text: 'Pay, but say cancelled',
      zh: '已付却报取消',
      kind: 'lie',
    },
    { id: 'cancel-say-ok', act: 'cancel', says: 'ok', text: 'Do not pay, but say ok', zh: '未付却报成功', kind: 'lie' },
  ]

  /** Opens the sheet. Resolves with what WeChat tells the page: ok, cancel or fail. */
  const openSheet = (kind, parameters) =>
    new Promise((resolve) => {
      const problem = make('p', { class: 'wxs-problem', role: 'alert' })
      const amount = make('p', { class: 'wxs-amount', text: '…' })
      const what = make('p', { class: 'wxs-what' })
      const buttons = make('div', { class: 'wxs-buttons' })
      const sheet = make('dialog', { class: 'wxs-sheet', 'aria-label': 'WeChat Pay, simulated' }, [
        make('p', { class: 'wxs-title', text: '微信支付 WeChat Pay' }),
        what,
        amount,
        problem,
        buttons,
        make('p', { class: 'wxs-note', text: 'Simulated wallet · 模拟钱包，不涉及真实资金' }),
      ])
      const finish = (says) => {
        sheet.close()
        sheet.remove()
        resolve(says)
      }
      const choose = async (choice) => {
        for (const button of buttons.children) button.disabled = true
        const done = await ask('wallet', { kind, ...parameters, act: choice.act }).catch(() => ({
          ok: false,
          problem: 'offline',
        }))
        if (done.ok) return finish(choice.says)
        problem.textContent = done.problem
        for (const button of buttons.children) button.disabled = button.id === 'wxs-pay'
      }
      for (const choice of choices) {
        const label = [make('span', { text: choice.text }), make('span', { lang: 'zh-CN', text: choice.zh })]
        const button = make(
          'button',
          { type: 'button', id: `wxs-${choice.id}`, class: `wxs-button ${choice.kind}` },
          label,
        )
        button.addEventListener('click', () => void choose(choice))
        buttons.append(button)
      }
      sheet.addEventListener('cancel', (event) => {
        event.preventDefault()
        finish('cancel')
      })
      document.body.append(sheet)
      sheet.showModal()
      const show = async () => {
        const asked = await ask('wallet', { kind, ...parameters })
        amount.textContent = asked.ok ? yuan(asked.amount) : ''
        what.textContent = asked.ok ? asked.description : ''
        if (asked.ok) return
        problem.textContent = asked.problem
        buttons.querySelector('#wxs-pay').disabled = true
      }
      void show()
    })

  const invoke = async (name, parameters, answer) => {
    const says = name === 'getBrandWCPayRequest' ? await openSheet('jsapi', parameters) : 'ok'
    answer({ err_msg: `${name === 'getBrandWCPayRequest' ? 'get_brand_wcpay_request' : name}:${says}` })
  }

  const handOver = async (id) => {
    await ask('person', { id })
    location.reload()
  }

  /** The bar at the top: which person holds the phone. */
  const bar = () => {
    const cookie = /(?:^|;\s*)sim_wechat_person=([ab])/.exec(document.cookie)
    const who = cookie ? cookie[1] : 'a'
    const person = make('button', {
      type: 'button',
      class: 'wxs-person',
      id: 'wxs-person',
      text: `Payer ${who.toUpperCase()} ⇄`,
    })
    person.title = 'Give the phone to another person: sessions are forgotten'
    person.addEventListener('click', () => {
      void handOver(who === 'a' ? 'b' : 'a')
    })
    const name = make('span', { class: 'wxs-name', text: 'WeChat 微信 · simulated' })
    document.body.append(make('aside', { class: 'wxs-bar', 'aria-label': 'Simulated WeChat' }, [name, person]))
    document.documentElement.classList.add('wxs-inside')
  }

  window.__simulatedWallet = openSheet
  window.WeixinJSBridge = { invoke: (...call) => void invoke(...call), call() {}, on() {} }
  document.addEventListener('DOMContentLoaded', () => {
    bar()
    document.dispatchEvent(new Event('WeixinJSBridgeReady'))
  })
})()
