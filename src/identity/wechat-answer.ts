import type { Transport } from '../core/transport.ts'

/** One call of api.weixin.qq.com: answers come with HTTP 200 and an errcode, whatever they say (wechatpay.md 5.1, 5.3). */

export type WechatAnswer = {
  /** `0` for success; `silent` when there was no readable answer, which says nothing about what happened. */
  readonly errcode: string
  /** A member that is a text of sane length. */
  text(name: string): string | undefined
  integer(name: string): number | undefined
}

export type WechatCall = { readonly url: string; readonly body: unknown; readonly deadlineMs: number }

const largestAnswer = 16 * 1024

/**
 * Posts a JSON body, once more when WeChat says that it is busy (5.1). Never throws, and never lets an error out: transports put the URL into theirs, and with it a token.
 * @param call.url absolute, with whatever token it needs
 */
export async function askWechat(transport: Transport, call: WechatCall): Promise<WechatAnswer> {
  const answer = await askOnce(transport, call)
  return answer.errcode === '-1' ? askOnce(transport, call) : answer
}

async function askOnce(transport: Transport, call: WechatCall): Promise<WechatAnswer> {
  try {
    const response = await transport(
      {
        method: 'POST',
        url: call.url,
        headers: { accept: 'application/json', 'content-type': 'application/json' },
        body: JSON.stringify(call.body),
        deadlineMs: call.deadlineMs,
        maxBytes: largestAnswer,
      },
      AbortSignal.timeout(call.deadlineMs),
    )
    return response.status === 200 ? answerOf(JSON.parse(response.body.toString('utf8'))) : silent
  } catch {
    return silent
  }
}

const silent: WechatAnswer = { errcode: 'silent', text: () => undefined, integer: () => undefined }

function answerOf(value: unknown): WechatAnswer {
  if (typeof value !== 'object' || value === null) return silent
  const members = new Map<string, unknown>(Object.entries(value))
  const errcode = members.get('errcode') ?? 0
  return {
    errcode: typeof errcode === 'number' && Number.isSafeInteger(errcode) ? String(errcode) : 'unreadable',
    text(name) {
      const member = members.get(name)
      return typeof member === 'string' && member !== '' && member.length <= 2048 ? member : undefined
    },
    integer(name) {
      const member = members.get(name)
      return typeof member === 'number' && Number.isSafeInteger(member) && member > 0 ? member : undefined
    },
  }
}
