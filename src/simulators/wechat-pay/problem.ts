import { randomInt } from 'node:crypto'
import type { SimResponse } from '../http.ts'

/** A documented refusal: status, code and message of wechatpay.md 1.3 and 1.9. Answers built from it are never signed. */
export class WechatProblem extends Error {
  readonly status: number
  readonly code: string
  readonly detail: object | undefined
  /** Internal numeric code shown at the end of Request-ID (wechatpay.md 1.9). */
  readonly internal: number | undefined

  constructor(status: number, code: string, message: string, more: { detail?: object; internal?: number } = {}) {
    super(message)
    this.name = 'WechatProblem'
    this.status = status
    this.code = code
    this.detail = more.detail
    this.internal = more.internal
  }
}

/** A wrong field of the body; `field` is a JSON Pointer (wechatpay.md 1.9). */
export const bodyProblem = (field: string, value: unknown, issue: string, message?: string): WechatProblem =>
  new WechatProblem(
    400,
    'PARAM_ERROR',
    message ?? `输入源“/body${field}”映射到字段“${field.split('/').pop() ?? ''}”规则校验失败，${issue}`,
    {
      detail: { field, value: typeof value === 'string' ? value : JSON.stringify(value), issue, location: 'body' },
    },
  )

/** A wrong parameter of the query string or the path. */
export const urlProblem = (
  field: string,
  value: string | null,
  issue: string,
  location: 'query' | 'url',
): WechatProblem =>
  new WechatProblem(400, 'PARAM_ERROR', `输入源“/${location}/${field}”规则校验失败，${issue}`, {
    detail: { field, value, issue, location },
  })

export const signError = (message: string, detail?: object): WechatProblem =>
  new WechatProblem(401, 'SIGN_ERROR', message, detail ? { detail } : {})

/** A trace id; the number after the dash tells the true cause. */
export const requestId = (internal?: number): string => {
  const digits = Array.from({ length: 3 }, () => String(randomInt(1e9)).padStart(9, '0')).join('')
  return `0${digits}${internal === undefined ? '' : `-${internal}`}`
}

/** Errors are JSON without any Wechatpay-* header, and without Request-ID on the 401 of an order call (wechatpay.md 9.2). */
export function problemResponse(problem: WechatProblem, orderPath: boolean): SimResponse {
  const headers: Record<string, string> = { 'Content-Type': 'application/json; charset=utf-8' }
  if (!(orderPath && problem.status === 401)) headers['Request-ID'] = requestId(problem.internal)
  const { code, message, detail } = problem
  return { status: problem.status, headers, body: JSON.stringify({ code, message, ...(detail ? { detail } : {}) }) }
}
