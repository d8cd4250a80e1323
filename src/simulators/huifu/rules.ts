import type { FieldRule, FieldRules } from './fields.ts'

/** Which members each operation knows, by path version. Whatever is not listed here is refused (huifu-dougong.md 18.1). */
const OWN: FieldRules = {
  req_date: { max: 8, required: true, form: 'day' },
  req_seq_id: { max: 128, required: true, form: 'number' },
}
const MERCHANT: FieldRules = { huifu_id: { max: 32, required: true } }
const json = (max: number): FieldRule => ({ max, form: 'json' })

/** Create, as far as v2, v3 and v4 agree (huifu-dougong.md 4.2). */
const CREATE: FieldRules = {
  ...OWN,
  ...MERCHANT,
  trade_type: { max: 16, required: true },
  trans_amt: { max: 14, required: true, form: 'amount' },
  time_expire: { max: 14 },
  notify_url: { max: 504, form: 'url' },
  remark: { max: 255 },
  acct_id: { max: 9 },
  delay_acct_flag: { max: 1, among: ['Y', 'N'] },
  fee_flag: { max: 1, form: 'flag', among: ['1', '2'] },
  acct_split_bunch: json(4096),
  term_div_coupon_type: { max: 1, form: 'flag', among: ['1', '2', '3'] },
  limit_pay_type: { max: 128 },
  channel_no: { max: 32 },
  pay_scene: { max: 2 },
  fq_mer_discount_flag: { max: 1, among: ['Y', 'P'] },
  combinedpay_data: { max: 4096, form: 'jsonList' },
  trans_fee_allowance_info: json(2048),
  terminal_device_data: json(2048),
  risk_check_data: json(2048),
}

const SCENES_V2: FieldRules = {
  wx_data: json(8192),
  alipay_data: json(8192),
  unionpay_data: json(8192),
  dc_data: json(2048),
  goods_desc: { max: 127, required: true },
}

export const CREATE_RULES: Readonly<Record<'v2' | 'v3' | 'v4', FieldRules>> = {
  v2: { ...CREATE, ...SCENES_V2 },
  v3: { ...CREATE, ...SCENES_V2, dy_data: json(2048), combinedpay_data_fee_info: json(2048), fee_sign: { max: 32 } },
  v4: {
    ...CREATE,
    method_expand: json(8192),
    combinedpay_data_fee_info: json(2048),
    goods_desc: { max: 128, required: true },
  },
}

/** `wx_data` and the WeChat form of `method_expand` (huifu-dougong.md 4.3, 4.4). Values may be objects here. */
export const WECHAT_SCENE: Readonly<Record<string, number>> = {
  sub_appid: 32,
  sub_openid: 128,
  openid: 128,
  attach: 127,
  body: 128,
  detail: 6000,
  device_info: 32,
  goods_tag: 32,
  identity: 128,
  receipt: 8,
  scene_info: 2048,
  spbill_create_ip: 64,
  promotion_flag: 1,
  product_id: 32,
  limit_payer: 5,
}

const ORG: FieldRules = {
  org_req_date: { max: 8, form: 'day' },
  org_req_seq_id: { max: 128, form: 'number' },
  org_hf_seq_id: { max: 128, form: 'number' },
}
const ORG_DATED: FieldRules = { ...ORG, org_req_date: { max: 8, required: true, form: 'day' } }

/** Queries of v2 and v3 carry no number of their own, those of v4 the order's under plain names (huifu-dougong.md 5). */
export const QUERY_RULES: Readonly<Record<'v2' | 'v3' | 'v4', FieldRules>> = {
  v2: { ...MERCHANT, ...ORG, out_ord_id: { max: 32, form: 'number' } },
  v3: { ...MERCHANT, ...ORG, out_ord_id: { max: 32, form: 'number' } },
  v4: {
    ...MERCHANT,
    req_date: { max: 8, form: 'day' },
    req_seq_id: { max: 128, form: 'number' },
    hf_seq_id: { max: 128, form: 'number' },
    out_ord_id: { max: 32, form: 'number' },
  },
}

/** Close and close query (huifu-dougong.md 6). */
export const CLOSE_RULES: FieldRules = {
  ...OWN,
  ...MERCHANT,
  ...ORG_DATED,
  merge_flag: { max: 2, among: ['Y', 'N'] },
}

const REFUND: FieldRules = {
  ...OWN,
  ...MERCHANT,
  ...ORG_DATED,
  ord_amt: { max: 14, required: true, form: 'amount' },
  org_party_order_id: { max: 64, form: 'number' },
  notify_url: { max: 512, form: 'url' },
  remark: { max: 84 },
  acct_split_bunch: json(2048),
  combinedpay_data: { max: 2048, form: 'jsonList' },
  combinedpay_data_fee_info: json(2048),
  risk_check_data: json(2048),
  terminal_device_data: json(2048),
}
const REFUND_V2: FieldRules = {
  ...REFUND,
  loan_flag: { max: 2, among: ['Y', 'N'] },
  loan_undertaker: { max: 32 },
  loan_acct_type: { max: 2, among: ['01', '05'] },
  wx_data: json(2048),
  digital_currency_data: json(2048),
  dy_data: json(2048),
  unionpay_data: json(2048),
}

/** Refund; v4 has neither loan fields nor scene objects (huifu-dougong.md 7.1). */
export const REFUND_RULES: Readonly<Record<'v2' | 'v3' | 'v4', FieldRules>> = {
  v2: REFUND_V2,
  v3: REFUND_V2,
  v4: REFUND,
}

/** Hosted paths: numbers have 64 characters, goods 40 (huifu-dougong.md 11). */
const OWN_HOSTED: FieldRules = {
  req_date: { max: 8, required: true, form: 'day' },
  req_seq_id: { max: 64, required: true, form: 'number' },
}

/** `preorder` of kinds 1 and 3 (huifu-dougong.md 11.1). */
export const PREORDER_RULES: FieldRules = {
  ...OWN_HOSTED,
  ...MERCHANT,
  trans_amt: { max: 14, required: true, form: 'amount' },
  goods_desc: { max: 40, required: true },
  pre_order_type: { max: 1, required: true },
  hosting_data: json(2048),
  app_data: json(2048),
  miniapp_data: json(2048),
  dy_data: json(2048),
  delay_acct_flag: { max: 1, among: ['Y', 'N'] },
  acct_split_bunch: json(2000),
  time_expire: { max: 14 },
  biz_info: json(2048),
  notify_url: { max: 512, form: 'url' },
  acct_id: { max: 9 },
  fee_flag: { max: 1, form: 'flag', among: ['1', '2'] },
  fee_sign: { max: 32 },
  fee_split_flag: { max: 1, among: ['Y', 'N'] },
  wx_data: json(2048),
  alipay_data: json(2048),
  unionpay_data: json(2048),
  terminal_device_data: json(2048),
  usage_type: { max: 1, among: ['P', 'R'] },
  multi_pay_way_flag: { max: 1, among: ['Y', 'N'] },
  trans_type: { max: 256 },
  split_pay_flag: { max: 1, among: ['Y', 'N'] },
  split_pay_data: json(2048),
}

/** Query of a hosted order: either the channel's number, or merchant, day and number (huifu-dougong.md 11.2). */
export const HOSTED_QUERY_RULES: FieldRules = {
  ...OWN_HOSTED,
  huifu_id: { max: 32 },
  org_req_date: { max: 8, form: 'day' },
  org_req_seq_id: { max: 64, form: 'number' },
  party_order_id: { max: 64, form: 'number' },
}

/** Close of a hosted order (huifu-dougong.md 11.2). */
export const HOSTED_CLOSE_RULES: FieldRules = {
  ...OWN_HOSTED,
  ...MERCHANT,
  org_req_date: { max: 8, required: true, form: 'day' },
  org_req_seq_id: { max: 64, required: true, form: 'number' },
}

/** Refund of a hosted order, and its query by the refund's own keys (huifu-dougong.md 11.2). */
export const HOSTED_REFUND_RULES: FieldRules = { ...REFUND_V2, ...OWN_HOSTED, bank_info_data: json(2048) }
export const HOSTED_REFUND_QUERY_RULES: FieldRules = {
  ...OWN_HOSTED,
  ...MERCHANT,
  org_req_date: { max: 8, required: true, form: 'day' },
  org_req_seq_id: { max: 64, form: 'number' },
  org_hf_seq_id: { max: 128, form: 'number' },
}

/** Refund query: `org_*` means the refund, not the payment (huifu-dougong.md 7.3). */
export const REFUND_QUERY_RULES: FieldRules = { ...MERCHANT, ...ORG, mer_ord_id: { max: 50, form: 'number' } }
