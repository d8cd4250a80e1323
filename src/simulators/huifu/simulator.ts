import type { Chaos } from '../chaos.ts'
import type { Clock } from '../clock.ts'
import { firstAnswer, type SimHandler, type SimRequest, type SimResponse } from '../http.ts'
import type { Notifier } from '../notifier.ts'
import { openBooks, type Version } from './books.ts'
import { refuse, type Call, type Outcome } from './call.ts'
import { closeOrder, queryClose } from './close.ts'
import { createControl } from './control.ts'
import { createOrder } from './create.ts'
import { gatewayAnswer, openEnvelope, refusal, signedAnswer } from './envelope.ts'
import { checkFields, type FieldRules } from './fields.ts'
import { closeHosted, queryHosted } from './hosted-acts.ts'
import { createHostedPage } from './hosted-page.ts'
import { preorder } from './hosted.ts'
import { resume } from './life.ts'
import { defaultOptions, type HuifuCredentials, type Office } from './office.ts'
import { queryOrder } from './query.ts'
import { createRefund, queryHostedRefund, queryRefund } from './refund.ts'
import { accountOf } from './report.ts'
import {
  CLOSE_RULES,
  CREATE_RULES,
  HOSTED_CLOSE_RULES,
  HOSTED_QUERY_RULES,
  HOSTED_REFUND_QUERY_RULES,
  HOSTED_REFUND_RULES,
  PREORDER_RULES,
  QUERY_RULES,
  REFUND_QUERY_RULES,
  REFUND_RULES,
} from './rules.ts'
import { createSigning } from './signing.ts'

type Operation = {
  /** Name for chaos: `huifu.create` and so on. */
  readonly name: string
  readonly rules: FieldRules
  readonly run: (call: Call) => Outcome
}

type Route = Operation & { readonly version: Version; readonly hosted?: true }

const notOpened = (call: Call): Outcome => refuse(call, '22000004', '暂未开通聚合反扫权限')

const HOSTED = '/v2/trade/hosting/payment/'
const hosted = (path: string, name: string, rules: FieldRules, run: Operation['run']): [string, Route] => [
  `${HOSTED}${path}`,
  { version: 'v2', name: `huifu.${name}`, rules, run, hosted: true },
]

/** The hosted cashier (huifu-dougong.md 11); nobody shares split payments here, so `splitpay/query` is not served. */
const hostedRoutes: readonly [string, Route][] = [
  hosted('preorder', 'preorder', PREORDER_RULES, preorder),
  hosted('queryorderinfo', 'query', HOSTED_QUERY_RULES, queryHosted),
  hosted('close', 'close', HOSTED_CLOSE_RULES, closeHosted),
  hosted('htRefund', 'refund', HOSTED_REFUND_RULES, createRefund),
  hosted('queryRefundInfo', 'refundQuery', HOSTED_REFUND_QUERY_RULES, queryHostedRefund),
]

/** Every path of huifu-dougong.md 20 this simulator serves. Close exists as v2 only, `create` as v4 only. */
const routes: ReadonlyMap<string, Route> = new Map(
  [...(['v2', 'v3', 'v4'] as const)]
    .flatMap((version): [string, Route][] => {
      const at = (path: string, name: string, rules: FieldRules, run: Operation['run']): [string, Route] => [
        `/${version}/trade/payment/${path}`,
        { version, name: `huifu.${name}`, rules, run },
      ]
      return [
        at(version === 'v4' ? 'create' : 'jspay', 'create', CREATE_RULES[version], createOrder),
        at('scanpay/query', 'query', QUERY_RULES[version], queryOrder),
        at('scanpay/refund', 'refund', REFUND_RULES[version], createRefund),
        at('scanpay/refundquery', 'refundQuery', REFUND_QUERY_RULES, queryRefund),
        ...(version === 'v4' ? [] : [at('micropay', 'create', {}, notOpened)]),
        ...(version === 'v2'
          ? [
              at('scanpay/close', 'close', CLOSE_RULES, closeOrder),
              at('scanpay/closequery', 'closeQuery', CLOSE_RULES, queryClose),
            ]
          : []),
      ]
    })
    .concat(hostedRoutes),
)

/** Path families of Huifu; within them an unknown path is Huifu's 404, outside it is somebody else's request. */
const OURS = /^\/v[234]\/(?:trade|merchant)\//

export type HuifuSimulator = {
  /** The payment API. */
  handle: SimHandler
  /** `/_sim/huifu/…`: what payers, time and Huifu's staff do. */
  control: SimHandler
  /** Everything Huifu knows, with sums, as plain data. */
  books(): unknown
  /** Tells where the simulators listen, for addresses in answers. */
  setAddresses(urls: { api: string; control: string }): void
  /** Cancels what is planned and writes the snapshot. */
  stop(): void
}

/**
 * A simulated Huifu, written from huifu-dougong.md 18.
 * @param setup `credentials.huifu` in bare base64; `books` an optional snapshot file, so that a restart finds its
 *   orders; `fastCrypto` signs with node:crypto instead of jsrsasign, for load tests
 * @throws when a key or the snapshot cannot be read
 */
export function createHuifuSimulator(setup: {
  clock: Clock
  chaos: Chaos
  notifier: Notifier
  credentials: { huifu: HuifuCredentials }
  books?: string | undefined
  fastCrypto?: boolean | undefined
  log?: ((line: string) => void) | undefined
}): HuifuSimulator {
  const identity = setup.credentials.huifu
  const keys = { privateKey: identity.huifuPrivateKey, publicKey: identity.merchantPublicKey }
  const office: Office = {
    clock: setup.clock,
    chaos: setup.chaos,
    notifier: setup.notifier,
    identity,
    signing: createSigning(keys, setup.fastCrypto ?? false),
    books: openBooks(setup.books),
    options: defaultOptions(),
    webhookUrls: new Set(),
    listeners: new Map(),
    timers: new Set(),
    addresses: { api: '', control: '' },
    log: setup.log ?? (() => undefined),
  }
  resume(office)
  const page = createHostedPage(office)
  return {
    handle: (request) => firstAnswer([page, (one) => handle(office, one)], request),
    setAddresses(urls) {
      Object.assign(office.addresses, urls)
    },
    control: createControl(office),
    books: () => accountOf(office),
    stop() {
      for (const cancel of office.timers) cancel()
      office.timers.clear()
      office.books.flush()
    },
  }
}

async function handle(office: Office, request: SimRequest): Promise<SimResponse | undefined> {
  if (!OURS.test(request.path)) return undefined
  const route = routes.get(request.path)
  if (request.method !== 'POST' || route === undefined || request.query !== '') {
    return gatewayAnswer(404, '20000', '服务不存在')
  }
  const early = faultBefore(office, route.name)
  if (early !== undefined) return early
  const opened = openEnvelope(office, request, route.version)
  const answer = 'status' in opened ? opened : await answerTo(office, route, opened.data)
  return withFault(office, route.name, answer)
}

async function answerTo(office: Office, route: Route, data: Call['data']): Promise<SimResponse> {
  const fields = route.run === notOpened ? new Map() : checkFields(data, route.rules, office.options.allowNested)
  const outcome: Outcome =
    typeof fields === 'string'
      ? { data: refusal(data, '10000000', fields) }
      : route.run({ office, version: route.version, data, fields, hosted: route.hosted === true })
  if (outcome.data.resp_code >= '1') office.log(`${route.name}: ${outcome.data.resp_code} ${outcome.data.resp_desc}`)
  if (outcome.before !== undefined) await outcome.before
  return signedAnswer(office, outcome.data, {
    unsigned: office.chaos.happens('unsigned', route.name),
    badSignature: office.chaos.happens('badSignature', route.name),
  })
}

const nothing: SimResponse = { status: 500, headers: {}, body: '' }

/** Faults that strike before anything was done (huifu-dougong.md 16.2). */
function faultBefore(office: Office, operation: string): SimResponse | undefined {
  const { chaos } = office
  if (chaos.happens('reset', operation)) return { ...nothing, fault: 'reset' }
  if (chaos.happens('refuse', operation)) return gatewayAnswer(500, '20000', '服务不可用')
  if (chaos.happens('serverError', operation)) return gatewayAnswer(500, '20000', '服务不可用')
  return chaos.happens('rateLimit', operation) ? gatewayAnswer(911, '20000', '请求过于频繁') : undefined
}

/** Faults that lose or delay an answer after the effect. */
function withFault(office: Office, operation: string, answer: SimResponse): SimResponse {
  const { chaos } = office
  if (chaos.happens('failAfterAccept', operation)) return { ...answer, fault: 'reset' }
  if (chaos.happens('hang', operation)) return { ...answer, fault: 'hang' }
  if (chaos.happens('truncate', operation)) return { ...answer, fault: 'truncate' }
  if (chaos.happens('slow', operation)) return { ...answer, delayMs: 200 + Math.floor(chaos.random() * 800) }
  return answer
}
