import type { Json } from './ledger.ts'
import { bodyProblem } from './problem.ts'

/** The form one field must have. Lengths are characters. */
type Rule =
  | { kind: 'string'; required?: boolean; min?: number; max: number; check?: (text: string) => string | undefined }
  | { kind: 'integer'; required?: boolean; min: number }
  | { kind: 'boolean'; required?: boolean }
  | { kind: 'object'; required?: boolean; fields: Record<string, Rule>; check?: (value: Json) => string | undefined }
  | { kind: 'array'; required?: boolean; item: Rule }

const string = (max: number, more: Omit<Extract<Rule, { kind: 'string' }>, 'kind' | 'max'> = {}): Rule => ({
  kind: 'string',
  max,
  ...more,
})
const must = { required: true } as const

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const oneOf =
  (...allowed: string[]) =>
  (text: string): string | undefined =>
    allowed.includes(text) ? undefined : `取值不在 ${allowed.join('、')} 中`

const characters =
  (pattern: RegExp) =>
  (text: string): string | undefined =>
    pattern.test(text) ? undefined : '包含不允许的字符'

/** An offset is obligatory: a value without one is refused (wechatpay.md 3.7). */
const isTime = (text: string): string | undefined => {
  const shape = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d[+-]\d\d:\d\d$/.exec(text)
  const day = shape?.[1] === undefined ? Number.NaN : Date.parse(`${shape[1]}T00:00:00Z`)
  const real = Number.isFinite(day) && new Date(day).toISOString().startsWith(shape?.[1] ?? '-')
  return real && Number.isFinite(Date.parse(text)) ? undefined : '格式应为 yyyy-MM-DDTHH:mm:ss+TIMEZONE'
}

const isLoopback = (host: string): boolean => ['127.0.0.1', '[::1]', 'localhost'].includes(host)

/**
 * Why an address cannot be notified, or undefined: https, full path, no query string (wechatpay.md 4.3). Plain http
 * is taken for loopback only, because this is a sandbox.
 */
export function notifyUrlProblem(text: string): string | undefined {
  if (!URL.canParse(text)) return '不是合法的URL'
  const url = new URL(text)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) return '必须为https地址'
  if (text.includes('?') || text.includes('#')) return '不能携带参数'
  return url.username || url.password ? '不能携带用户信息' : undefined
}

const isAddress = (text: string): string | undefined =>
  /^[0-9a-fA-F.:]{3,45}$/.test(text) ? undefined : '不是合法的IP地址'

const goods = (names: Record<string, Rule>): Rule => ({
  kind: 'array',
  item: {
    kind: 'object',
    fields: { merchant_goods_id: string(32, must), wechatpay_goods_id: string(32), goods_name: string(256), ...names },
  },
})

/** POST /v3/pay/transactions/jsapi (wechatpay.md 2.2). Fields for special permissions are unknown here on purpose. */
export const createRules: Rule = {
  kind: 'object',
  fields: {
    appid: string(32, must),
    mchid: string(32, must),
    description: string(127, must),
    out_trade_no: string(32, { ...must, min: 6, check: characters(/^[0-9A-Za-z_\-|*]+$/) }),
    time_expire: string(64, { check: isTime }),
    attach: string(128, { min: 0 }),
    notify_url: string(255, { ...must, check: notifyUrlProblem }),
    goods_tag: string(32),
    support_fapiao: { kind: 'boolean' },
    amount: {
      kind: 'object',
      required: true,
      fields: { total: { kind: 'integer', required: true, min: 1 }, currency: string(16, { check: oneOf('CNY') }) },
    },
    payer: { kind: 'object', required: true, fields: { openid: string(128, must) } },
    detail: {
      kind: 'object',
      check: (value) => (Buffer.byteLength(JSON.stringify(value)) <= 6144 ? undefined : '长度超过6144字节'),
      fields: {
        cost_price: { kind: 'integer', min: 0 },
        invoice_id: string(32),
        goods_detail: goods({
          quantity: { kind: 'integer', required: true, min: 1 },
          unit_price: { kind: 'integer', required: true, min: 0 },
        }),
      },
    },
    scene_info: {
      kind: 'object',
      fields: {
        payer_client_ip: string(45, { ...must, check: isAddress }),
        device_id: string(32),
        store_info: {
          kind: 'object',
          fields: { id: string(32, must), name: string(256), area_code: string(32), address: string(512) },
        },
      },
    },
    settle_info: { kind: 'object', fields: { profit_sharing: { kind: 'boolean' } } },
  },
}

/** POST …/close (wechatpay.md 2.5). */
export const closeRules: Rule = { kind: 'object', fields: { mchid: string(32, must) } }

/** POST /v3/refund/domestic/refunds (wechatpay.md 2.6). */
export const refundRules: Rule = {
  kind: 'object',
  fields: {
    transaction_id: string(32),
    out_trade_no: string(32, { min: 6 }),
    out_refund_no: string(64, { ...must, check: characters(/^[0-9A-Za-z_\-|*@]+$/) }),
    reason: string(80),
    notify_url: string(256, { check: notifyUrlProblem }),
    funds_account: string(32, { check: oneOf('AVAILABLE', 'UNSETTLED') }),
    amount: {
      kind: 'object',
      required: true,
      fields: {
        refund: { kind: 'integer', required: true, min: 1 },
        total: { kind: 'integer', required: true, min: 1 },
        currency: string(16, { ...must, check: oneOf('CNY') }),
        from: {
          kind: 'array',
          item: {
            kind: 'object',
            fields: {
              account: string(32, { ...must, check: oneOf('AVAILABLE', 'UNAVAILABLE') }),
              amount: { kind: 'integer', required: true, min: 1 },
            },
          },
        },
      },
    },
    goods_detail: goods({
      unit_price: { kind: 'integer', required: true, min: 0 },
      refund_amount: { kind: 'integer', required: true, min: 0 },
      refund_quantity: { kind: 'integer', required: true, min: 1 },
    }),
  },
}

function stringIssue(value: unknown, rule: Extract<Rule, { kind: 'string' }>): string | undefined {
  if (typeof value !== 'string') return '类型应为字符串'
  const length = Array.from(value).length
  if (length < (rule.min ?? 1)) return `长度低于最小值 ${rule.min ?? 1}`
  return length > rule.max ? `长度超过最大值 ${rule.max}` : rule.check?.(value)
}

function integerIssue(value: unknown, rule: Extract<Rule, { kind: 'integer' }>): string | undefined {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return '类型应为整数'
  return value < rule.min ? `值低于最小值 ${rule.min}` : undefined
}

/** The sentence the real service uses for an illegal amount (wechatpay.md 2.2). */
const amountMessage = (pointer: string, issue: string): string | undefined =>
  pointer === '/amount/total' ? `输入源“/body/amount/total”映射到数值字段“总金额”规则校验失败，${issue}` : undefined

/**
 * Checks presence, type, length and form, depth first. A field this call does not define is refused: the real service
 * ignores some, a simulator must not (design.md 14). Null is a wrong type.
 * @throws WechatProblem PARAM_ERROR naming the field as a JSON Pointer
 */
export function checkBody(value: unknown, rule: Rule, pointer = ''): void {
  const refuse = (issue: string): never => {
    throw bodyProblem(pointer === '' ? '/' : pointer, value ?? null, issue, amountMessage(pointer, issue))
  }
  let issue: string | undefined
  if (rule.kind === 'string') issue = stringIssue(value, rule)
  else if (rule.kind === 'integer') issue = integerIssue(value, rule)
  else if (rule.kind === 'boolean') issue = typeof value === 'boolean' ? undefined : '类型应为布尔值'
  else if (rule.kind === 'array') {
    if (!Array.isArray(value)) return refuse('类型应为数组')
    for (const [index, item] of value.entries()) checkBody(item, rule.item, `${pointer}/${index}`)
  } else {
    if (!isObject(value)) return refuse('类型应为对象')
    for (const [name, field] of Object.entries(rule.fields)) {
      if (Object.hasOwn(value, name)) checkBody(value[name], field, `${pointer}/${name}`)
      else if (field.required) throw bodyProblem(`${pointer}/${name}`, null, '必填字段缺失')
    }
    for (const name of Object.keys(value)) {
      if (!Object.hasOwn(rule.fields, name)) throw bodyProblem(`${pointer}/${name}`, value[name], '未定义的字段')
    }
    issue = rule.check?.(value)
  }
  if (issue !== undefined) refuse(issue)
}
