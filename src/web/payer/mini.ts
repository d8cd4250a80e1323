import type { BridgeAnswer } from './bridge.ts'
import { settle, statusIn, withHint, type Ask, type Confirm, type Outcome } from './settle.ts'

/** The parameters of wx.requestPayment: those of a page without `appId` (wechatpay.md 3.3). */
export type MiniProgramParameters = {
  timeStamp: string
  nonceStr: string
  package: string
  signType: string
  paySign: string
}

type Failure = { errMsg?: string }

/** The two calls of a mini-program's `wx` that are used; the global one is taken when none is given. */
export type MiniProgram = {
  requestPayment(options: MiniProgramParameters & { success: () => void; fail: (failure: Failure) => void }): unknown
  request(options: {
    url: string
    success: (answer: { statusCode: number; data: unknown }) => void
    fail: (failure: Failure) => void
  }): unknown
}

/** What `payInMiniProgram` needs. */
export type PayInMiniProgram = {
  /** The `payment` your mini-program received from the gateway's /mp/v1/pay, or from your own server. */
  parameters: MiniProgramParameters
  confirm: Confirm
  wx?: MiniProgram
}

/**
 * Pays in a mini-program: shows WeChat's sheet, then asks your server. Call it from a real tap.
 * @returns `paid` only when `confirm` said so. Never rejects: whatever goes wrong is an outcome
 */
export async function payInMiniProgram({ parameters, confirm, wx }: PayInMiniProgram): Promise<Outcome> {
  const program = wx ?? (globalThis as { wx?: MiniProgram }).wx
  if (program === undefined) return { status: 'unconfirmed', raw: 'not a mini-program' }
  const { timeStamp, nonceStr, package: prepay, signType, paySign } = parameters
  const said = await new Promise<BridgeAnswer>((resolve) => {
    const fail = (failure: unknown): void => resolve(readFailure(failure))
    try {
      program.requestPayment({
        timeStamp,
        nonceStr,
        package: prepay,
        signType,
        paySign,
        success: () => resolve({ result: 'ok', raw: 'requestPayment:ok' }),
        fail,
      })
    } catch (error) {
      fail({ errMsg: error instanceof Error ? error.message : String(error) })
    }
  })
  return settle(said, askOf(confirm, program))
}

/** `requestPayment:fail cancel` is the payer's cancel; every other text is a failure (wechatpay.md 3.3). */
function readFailure(failure: unknown): BridgeAnswer {
  const text = typeof failure === 'object' && failure !== null ? (failure as Failure).errMsg : undefined
  const raw = (typeof text === 'string' ? text : '').slice(0, 200)
  return { result: /\bcancel$/.test(raw) ? 'cancel' : 'fail', raw }
}

function askOf(confirm: Confirm, program: MiniProgram): Ask {
  if (typeof confirm === 'function') return confirm
  return (hint) =>
    new Promise((resolve, reject) => {
      program.request({
        url: withHint(confirm, hint),
        fail: (failure) => reject(new Error(failure.errMsg ?? 'no answer')),
        success({ statusCode, data }) {
          try {
            if (statusCode !== 200) throw new Error('status ' + String(statusCode))
            resolve(statusIn(data))
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)))
          }
        },
      })
    })
}
