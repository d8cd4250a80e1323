import { createHash } from 'node:crypto'
import type { SimHandler, SimRequest, SimResponse } from '../http.ts'
import { parseAuthorization, type Authorization } from './authorization.ts'
import type { Json } from './ledger.ts'
import { damaged } from './notifications.ts'
import { closeOrder, createOrder, queryByNumber, queryByTransaction } from './orders.ts'
import { problemResponse, requestId, signError, urlProblem, WechatProblem } from './problem.ts'
import { queryRefund, requestRefund } from './refunds.ts'
import { isObject } from './rules.ts'
import { randomNonce, requestMessage, seal, signedHeaders } from './signing.ts'
import { operationName, type World } from './world.ts'

type Call = { world: World; segment: string; query: URLSearchParams; body: Json }
/** A body, or undefined for 204; `delayMs` holds the answer back so that its notification overtakes it. */
type Outcome = { body?: Json; delayMs?: number }
type Route = { operation: string; method: string; path: RegExp; run(call: Call): Outcome }

const ORDERS = '/v3/pay/transactions/'

const routes: readonly Route[] = [
  {
    operation: 'create',
    method: 'POST',
    path: /^\/v3\/pay\/transactions\/jsapi$/,
    run: ({ world, body }) => ({ body: createOrder(world, body) }),
  },
  {
    operation: 'query',
    method: 'GET',
    path: /^\/v3\/pay\/transactions\/out-trade-no\/([^/]+)$/,
    run: ({ world, segment, query }) => ({ body: queryByNumber(world, segment, query) }),
  },
  {
    operation: 'query',
    method: 'GET',
    path: /^\/v3\/pay\/transactions\/id\/([^/]+)$/,
    run: ({ world, segment, query }) => ({ body: queryByTransaction(world, segment, query) }),
  },
  {
    operation: 'close',
    method: 'POST',
    path: /^\/v3\/pay\/transactions\/out-trade-no\/([^/]+)\/close$/,
    run({ world, segment, body }) {
      closeOrder(world, segment, body)
      return {}
    },
  },
  {
    operation: 'refund',
    method: 'POST',
    path: /^\/v3\/refund\/domestic\/refunds$/,
    run({ world, body }) {
      const { answer, notifiedFirst } = requestRefund(world, body)
      return { body: answer, ...(notifiedFirst ? { delayMs: 300 } : {}) }
    },
  },
  {
    operation: 'refundQuery',
    method: 'GET',
    path: /^\/v3\/refund\/domestic\/refunds\/([^/]+)$/,
    run: ({ world, segment, query }) => ({ body: queryRefund(world, segment, query) }),
  },
  {
    operation: 'certificates',
    method: 'GET',
    path: /^\/v3\/certificates$/,
    run: ({ world, query }) => ({ body: certificateList(world, query) }),
  },
]

/** Paths of WeChat Pay's host; others may belong to another simulator on the same port. */
const OWN_PATHS = /^\/v3\/(pay|refund|certificates|bill|billdownload|combine-transactions|global)(\/|$)/

/** GET /v3/certificates (wechatpay.md 1.6) */
function certificateList(world: World, query: URLSearchParams): Json {
  const algorithm = query.get('algorithm_type')
  if (algorithm !== null && !['RSA', 'ALL'].includes(algorithm))
    throw urlProblem('algorithm_type', algorithm, '取值非法', 'query')
  const published = world.keys.certificates()
  if (published.length === 0) {
    throw new WechatProblem(404, 'RESOURCE_NOT_EXISTS', '无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥。')
  }
  return {
    data: published.map((pair) => {
      const nonce = randomNonce().slice(0, 12)
      return {
        serial_no: pair.serial,
        effective_time: pair.effectiveTime,
        expire_time: pair.expireTime,
        encrypt_certificate: {
          algorithm: 'AEAD_AES_256_GCM',
          nonce,
          associated_data: 'certificate',
          ciphertext: seal(pair.certificate, world.credentials.apiV3Key, nonce, 'certificate'),
        },
      }
    }),
  }
}

/** User-Agent and Accept (wechatpay.md 1.2); on order paths the defect surfaces as a 401. */
function checkHeaders(request: SimRequest, orderPath: boolean): void {
  if (request.headers['user-agent'] && request.headers['accept']) return
  if (orderPath) throw signError('签名信息错误，验签失败')
  throw new WechatProblem(400, 'INVALID_REQUEST', 'Http头缺少Accept或User-Agent')
}

function readAuthorization(request: SimRequest, orderPath: boolean): Authorization {
  const authorization = parseAuthorization(request.headers['authorization'])
  if (authorization === 'scheme') throw signError('HTTP头Authorization认证类型不正确')
  if (authorization !== 'malformed') return authorization
  throw signError(
    orderPath ? '签名信息错误，验签失败' : 'Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》',
  )
}

/** Order of checks: grammar, time, serial, signature (wechatpay.md 9.2, steps 3 to 6). */
function authenticate(world: World, request: SimRequest, orderPath: boolean): void {
  const { mchid, nonce, signature, timestamp, serial } = readAuthorization(request, orderPath)
  if (Math.abs(Math.floor(world.clock.now() / 1000) - Number(timestamp)) > 300) {
    throw signError('Http头Authorization中的timestamp与发起请求的时间不得超过5分钟')
  }
  if (mchid !== world.credentials.mchid || serial !== world.credentials.merchantSerial) {
    throw signError('商户证书序列号有误。请使用签名私钥匹配的证书序列号')
  }
  const message = requestMessage(request.method, request.target, timestamp, nonce, request.body)
  if (world.signing.verify(message, signature, world.credentials.merchantCertificate)) return
  const head = requestMessage(request.method, request.target, timestamp, nonce, request.body.subarray(0, 8))
  throw signError('签名错误', {
    detail: { issue: 'sign not match' },
    field: 'signature',
    location: 'authorization',
    sign_information: {
      method: request.method,
      sign_message_length: message.length,
      truncated_sign_message: head.toString('utf8'),
      url: request.target,
    },
  })
}

function readBody(request: SimRequest): Json {
  if (request.method !== 'POST') return {}
  if (!/^application\/json(\s*;\s*charset=utf-8)?$/i.test(request.headers['content-type'] ?? '')) {
    throw new WechatProblem(400, 'INVALID_REQUEST', 'Http头Content-Type应为application/json')
  }
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(request.body))
    if (isObject(value)) return value
  } catch {
    // Falls through to the one refusal for everything that is not a JSON object.
  }
  throw new WechatProblem(400, 'PARAM_ERROR', '请求body不是合法的JSON对象', {
    detail: { location: 'body', issue: 'not a JSON object' },
  })
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw urlProblem('path', text, '路径编码错误', 'url')
  }
}

/** Misbehaviour before anything happened. */
function faultBefore(world: World, operation: string): SimResponse | undefined {
  const happens = (fault: Parameters<World['chaos']['happens']>[0]): boolean =>
    world.chaos.happens(fault, operationName(operation))
  if (happens('refuse'))
    return {
      status: 502,
      headers: { 'Content-Type': 'text/html' },
      body: '<html><head><title>502 Bad Gateway</title></head></html>',
    }
  if (happens('reset')) return { status: 502, headers: {}, body: '', fault: 'reset' }
  if (happens('rateLimit')) throw new WechatProblem(429, 'FREQUENCY_LIMITED', '频率限制')
  if (happens('serverError')) throw new WechatProblem(500, 'SYSTEM_ERROR', '系统异常，请稍后重试')
  return undefined
}

/** What befalls an answer whose effect is already applied. */
function faultAfter(world: World, operation: string): Pick<SimResponse, 'fault' | 'delayMs'> {
  const happens = (fault: Parameters<World['chaos']['happens']>[0]): boolean =>
    world.chaos.happens(fault, operationName(operation))
  if (happens('failAfterAccept')) return { fault: 'reset' }
  if (happens('hang')) return { fault: 'hang' }
  if (happens('truncate')) return { fault: 'truncate' }
  return happens('slow') ? { delayMs: 1000 } : {}
}

/** A signed answer, 204 included. A probe is never repeated on the retry of the same call (wechatpay.md 1.4). */
function signedAnswer(
  world: World,
  request: SimRequest,
  operation: string,
  outcome: Outcome,
  probed: Set<string>,
): SimResponse {
  const { chaos, keys } = world
  const name = operationName(operation)
  if (chaos.happens('rotateKey', name)) keys.rotate()
  const body = outcome.body ? JSON.stringify(outcome.body) : ''
  const key = keys.answerKey(request.headers['wechatpay-serial'])
  let headers = signedHeaders(world.signing, key, String(Math.floor(world.clock.now() / 1000)), body)
  const call = createHash('sha256').update(`${request.method} ${request.target}\n`).update(request.body).digest('hex')
  if (probed.delete(call))
    return { status: outcome.body ? 200 : 204, headers: { ...ordinary(outcome), ...headers }, body }
  const damage = (['probe', 'badSignature', 'unsigned'] as const).find((kind) => chaos.happens(kind, name))
  if (damage) {
    probed.add(call)
    headers = damaged(world, headers, body, damage, key)
  }
  return {
    status: outcome.body ? 200 : 204,
    headers: { ...ordinary(outcome), ...headers },
    body,
    ...(outcome.delayMs === undefined ? {} : { delayMs: outcome.delayMs }),
    ...faultAfter(world, operation),
  }
}

const ordinary = (outcome: Outcome): Record<string, string> => ({
  'Request-ID': requestId(),
  ...(outcome.body ? { 'Content-Type': 'application/json' } : {}),
})

/** The handlers of /v3/*, with the check order of wechatpay.md 9.2. */
export function createV3(world: World): SimHandler {
  const probed = new Set<string>()
  return (request) => {
    const matches = routes.filter((route) => route.path.test(request.path))
    if (matches.length === 0) return OWN_PATHS.test(request.path) ? { status: 404, headers: {}, body: '' } : undefined
    const route = matches.find((one) => one.method === request.method)
    if (!route) return { status: 405, headers: {}, body: '' }
    const orderPath = request.path.startsWith(ORDERS)
    try {
      checkHeaders(request, orderPath)
      authenticate(world, request, orderPath)
      const lost = faultBefore(world, route.operation)
      if (lost) return lost
      const segment = decodeSegment(route.path.exec(request.path)?.[1] ?? '')
      const outcome = route.run({ world, segment, query: new URLSearchParams(request.query), body: readBody(request) })
      return signedAnswer(world, request, route.operation, outcome, probed)
    } catch (error) {
      if (error instanceof WechatProblem) return problemResponse(error, orderPath)
      throw error
    }
  }
}
