import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  bridgeReady,
  invokePay,
  payInMiniProgram,
  payInWechat,
  type Hint,
  type ServerStatus,
} from '../../../src/web/payer/index.ts'
import { plans, settle } from '../../../src/web/payer/settle.ts'

/** The payer kit against bridges that lie, come late, or never, and servers that do the same. */
const parameters = {
  appId: 'wx1',
  timeStamp: '1',
  nonceStr: 'n',
  package: 'prepay_id=1',
  signType: 'RSA',
  paySign: 's',
}

type World = { WeixinJSBridge?: unknown; document?: unknown; wx?: unknown }
const here = globalThis as World

/** A page that can be in front, or not, and a bridge that says what it is told to say. */
function page() {
  const events = new EventTarget()
  const document = Object.assign(events, { visibilityState: 'visible' })
  here.document = document
  return {
    document,
    bridge(says: string | undefined, calls: unknown[] = []) {
      here.WeixinJSBridge = {
        invoke(name: string, given: object, done: (answer: object) => void) {
          calls.push([name, given])
          if (says !== undefined) setTimeout(() => done({ err_msg: says }), 5)
        },
      }
      document.dispatchEvent(new Event('WeixinJSBridgeReady'))
      return calls
    },
  }
}

/** A server that answers from a list, and then its last word for ever. */
function server(...answers: (ServerStatus | 'down')[]) {
  const asked: Hint[] = []
  return {
    asked,
    confirm: async (hint: Hint): Promise<ServerStatus> => {
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? 'open'
      asked.push(hint)
      if (answer === 'down') throw new Error('offline')
      return answer
    },
  }
}

describe('the payer kit', () => {
  // Real pauses are seconds; what matters is their order and number.
  const saved = { ok: plans.ok, cancel: plans.cancel, fail: plans.fail }
  before(() => Object.assign(plans, { ok: [0, 5, 5], cancel: [0, 5], fail: [0, 5] }))
  after(() => Object.assign(plans, saved))
  afterEach(() => {
    delete here.WeixinJSBridge
    delete here.document
    delete here.wx
  })

  it('keeps the plan of experience.md 2.5', () => {
    expect(saved.ok).to.deep.equal([0, 800, 1000, 1500, 2000, 3000, 4000, 5000])
    expect(saved.cancel).to.deep.equal([0, 1200])
    expect(saved.fail).to.deep.equal([0, 1200])
  })

  it('is paid when the server says so, and not a moment earlier', async () => {
    page().bridge('get_brand_wcpay_request:ok')
    const { asked, confirm } = server('open', 'paid')
    expect((await payInWechat({ parameters, confirm })).status).to.equal('paid')
    expect(asked).to.deep.equal(['ok', 'ok'])
  })

  it('does not believe a bridge that says ok', async () => {
    page().bridge('get_brand_wcpay_request:ok')
    expect((await payInWechat({ parameters, confirm: server('open').confirm })).status).to.equal('unconfirmed')
  })

  it('does not believe a bridge that says cancel, or fail', async () => {
    for (const says of ['get_brand_wcpay_request:cancel', 'get_brand_wcpay_request:fail', 'system:access_denied']) {
      page().bridge(says)
      expect((await payInWechat({ parameters, confirm: server('open', 'paid').confirm })).status, says).to.equal('paid')
    }
  })

  it('tells cancelled and failed apart when the server agrees that nothing was paid', async () => {
    page().bridge('get_brand_wcpay_request:cancel')
    expect((await payInWechat({ parameters, confirm: server('open').confirm })).status).to.equal('cancelled')
    page().bridge('get_brand_wcpay_request:fail_no permission to execute')
    const failed = await payInWechat({ parameters, confirm: server('open').confirm })
    expect(failed).to.deep.equal({ status: 'failed', raw: 'get_brand_wcpay_request:fail_no permission to execute' })
  })

  it('leaves a payment unconfirmed when the server does not answer, or answers nonsense', async () => {
    page().bridge('get_brand_wcpay_request:cancel')
    expect((await payInWechat({ parameters, confirm: server('down').confirm })).status).to.equal('unconfirmed')
    for (const nonsense of ['PAID', true, { paid: true }, undefined]) {
      const confirm = async () => nonsense as ServerStatus
      expect((await payInWechat({ parameters, confirm })).status, JSON.stringify(nonsense) ?? 'undefined').to.equal(
        'unconfirmed',
      )
    }
  })

  it('opens one sheet for three fast taps, within the first tap', async () => {
    const calls = page().bridge('get_brand_wcpay_request:ok')
    const { confirm } = server('paid')
    const taps = [1, 2, 3].map(() => payInWechat({ parameters, confirm }))
    expect(calls, 'synchronously').to.have.length(1)
    for (const outcome of await Promise.all(taps)) expect(outcome.status).to.equal('paid')
    expect(calls).to.deep.equal([['getBrandWCPayRequest', parameters]])
  })

  it('waits for a late bridge, and starts nothing without one', async () => {
    const late = page()
    setTimeout(() => late.bridge('get_brand_wcpay_request:ok'), 20)
    expect((await payInWechat({ parameters, confirm: server('paid').confirm })).status).to.equal('paid')
    delete here.WeixinJSBridge
    const { asked, confirm } = server('paid')
    expect((await payInWechat({ parameters, confirm, bridgeTimeoutMs: 10 })).status).to.equal('no-bridge')
    expect(asked).to.deep.equal([])
    expect(await bridgeReady(1)).to.equal(false)
    expect(await invokePay(parameters)).to.deep.equal({ result: 'fail', raw: 'no bridge' })
  })

  it('asks when the page is in front again, for the sheet may never answer', async () => {
    const screen = page()
    screen.bridge(undefined)
    const { asked, confirm } = server('open', 'paid')
    const outcome = payInWechat({ parameters, confirm })
    for (const _ of [1, 2]) {
      screen.document.dispatchEvent(new Event('visibilitychange'))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(await outcome).to.deep.equal({ status: 'paid', raw: 'wake' })
    expect(asked).to.deep.equal(['wake', 'wake'])
  })

  it('reads the status from an address of the merchant’s server', async () => {
    page().bridge('get_brand_wcpay_request:ok')
    const seen: (string | undefined)[] = []
    const merchant = createServer((req, res) => {
      seen.push(req.url)
      res.end(JSON.stringify({ order: { status: seen.length < 2 ? 'open' : 'paid' } }))
    }).listen(0, '127.0.0.1')
    await once(merchant, 'listening')
    const address = merchant.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    try {
      const confirm = `http://127.0.0.1:${String(port)}/status?no=7#x`
      expect((await payInWechat({ parameters, confirm })).status).to.equal('paid')
      expect(seen).to.deep.equal(['/status?no=7&hint=ok', '/status?no=7&hint=ok'])
    } finally {
      merchant.close()
      merchant.closeAllConnections()
    }
  })

  it('does the same in a mini-program', async () => {
    const { appId: _none, ...mini } = parameters
    const run = (fails: string | undefined, ...answers: ServerStatus[]) => {
      const asked = server(...answers)
      here.wx = {
        requestPayment(options: { success(): void; fail(failure: object): void }) {
          if (fails === undefined) options.success()
          else options.fail({ errMsg: fails })
        },
        request(options: { url: string; success(answer: object): void }) {
          void asked.confirm('ok').then((status) => options.success({ statusCode: 200, data: { status } }))
        },
      }
      return payInMiniProgram({ parameters: mini, confirm: 'https://shop.example/status' })
    }
    expect((await run(undefined, 'open', 'paid')).status).to.equal('paid')
    expect((await run(undefined, 'open')).status).to.equal('unconfirmed')
    expect((await run('requestPayment:fail cancel', 'open')).status).to.equal('cancelled')
    expect((await run('requestPayment:fail cancel', 'open', 'paid')).status).to.equal('paid')
    expect((await run('requestPayment:fail 当前商户该支付方式存在异常', 'open')).status).to.equal('failed')
    expect((await settle({ result: 'ok', raw: '' }, server('closed').confirm)).status).to.equal('closed')
  })

  it('is one module without imports, with types that a strict consumer compiles against', function () {
    this.timeout(60_000)
    const folder = mkdtempSync(join(tmpdir(), 'payer-kit-'))
    try {
      execFileSync(process.execPath, ['scripts/build-payer.mjs', join(folder, 'kit')])
      const use = `import { payInWechat, type H5Outcome } from './kit/index.js'
        const outcome: H5Outcome = await payInWechat({ parameters: { appId: 'a', timeStamp: '1', nonceStr: 'n', package: 'p', signType: 'RSA', paySign: 's' }, confirm: '/status' })
        // @ts-expect-error there is no such outcome
        if (outcome.status === 'success') throw new Error()
        console.log(outcome.status)`
      writeFileSync(join(folder, 'use.mts'), use)
      const flags = '--ignoreConfig --strict --noEmit --module nodenext --target es2022 --lib es2022,dom'.split(' ')
      execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', join(folder, 'use.mts'), ...flags])
      writeFileSync(
        join(folder, 'use.mjs'),
        use
          .replaceAll(/, type H5Outcome|: H5Outcome/g, '')
          .replace("confirm: '/status'", "confirm: '/status', bridgeTimeoutMs: 1"),
      )
      const said = execFileSync(process.execPath, [join(folder, 'use.mjs')], { encoding: 'utf8' })
      expect(said.trim()).to.equal('no-bridge')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
