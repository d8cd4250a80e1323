import { expect } from 'chai'
import {
  isProcessed,
  readCode,
  readFailure,
  readGatewayCode,
  readStatus,
  type Operation,
} from '../../../../src/providers/huifu/codes.ts'

// operation, code, text, verdict: huifu-dougong.md 16.1, 16.4 and the pages of each operation.
const table: readonly [Operation, string, string, string][] = [
  ['prepay', '10000000', 'goods_desc不能为空', 'invalid_request'],
  ['prepay', '10000000', '订单已超时', 'invalid_request'],
  ['prepay', '10000000', '请求日期必须是当前日期', 'unknown'],
  ['prepay', '20000000', '重复交易', 'unknown'],
  ['prepay', '20000001', '并发冲突', 'rate_limited'],
  ['prepay', '21000000', '手续费字段', 'invalid_request'],
  ['prepay', '22000000', '产品不存在', 'misconfigured'],
  ['prepay', '22000002', '商户不存在', 'misconfigured'],
  ['prepay', '22000003', '账户信息不存在', 'misconfigured'],
  ['prepay', '22000004', '暂未开通延迟入账权限', 'misconfigured'],
  ['prepay', '22000005', '费率配置有误', 'misconfigured'],
  ['prepay', '23000003', '分账金额总和有误', 'invalid_request'],
  ['prepay', '23000004', '不支持', 'unsupported'],
  ['prepay', '90000000', '业务执行失败', 'unknown'],
  ['prepay', '90000000', 'sub_mch_id与sub_appid不匹配', 'misconfigured'],
  ['prepay', '90000000', 'sub_appid与sub_openid不匹配', 'misconfigured'],
  ['prepay', '90000000', '当前商户需补齐相关资料后，才可进行相应的支付交易', 'misconfigured'],
  ['prepay', '22000005', '该路由下未配置可用通道', 'misconfigured'],
  ['prepay', '10000000', '数据权限认证失败', 'misconfigured'],
  ['prepay', '20003', '接口权限认证失败', 'misconfigured'],
  ['prepay', '10000000', 'redirect_uri域名与后台配置不一致', 'misconfigured'],
  ['prepay', '10000000', 'orderExpireTime格式有误', 'invalid_request'],
  ['prepay', '90000001', '风险交易，请稍后', 'unknown'],
  ['prepay', '91111119', '通道异常，请稍后重试', 'unknown'],
  ['prepay', '98888888', '系统错误', 'unknown'],
  ['prepay', '98888888', '数据权限认证失败', 'unknown'],
  ['prepay', '99999999', '系统异常,请稍后重试', 'unknown'],
  ['prepay', '12345678', '从未见过', 'unknown'],
  ['query', '23000001', '交易不存在', 'absent'],
  ['query', '20000004', '交易不存在', 'absent'],
  ['query', '21000000', '流水号不能同时为空', 'invalid_request'],
  ['query', '99999999', '系统异常', 'unknown'],
  ['refund_query', '23000001', '原交易不存在', 'absent'],
  ['close_query', '23000001', '交易不存在', 'absent'],
  ['close', '20000001', '不允许关闭一分钟以内的订单', 'too_early'],
  ['close', '20000001', '操作过于频繁', 'rate_limited'],
  ['close', '10000015', '订单创建不足一分钟', 'too_early'],
  ['close', '23000000', '原订单已为终态', 'final'],
  ['close', '10000016', '原订单已为终态,请发起查询交易获取', 'final'],
  ['close', '23000001', '交易不存在', 'final'],
  ['close', '23000004', '不支持的渠道', 'unsupported'],
  ['close', '10000018', '关单失败', 'unknown'],
  ['close', '20000000', '重复交易', 'repeated'],
  ['refund', '23000000', '原交易未入账，不能发起退款', 'too_early'],
  ['refund', '23000000', '原订单已为终态', 'unknown'],
  ['refund', '10000001', '原交易未完成', 'too_early'],
  ['refund', '10000002', '退款金额超限', 'invalid_request'],
  ['refund', '10000009', '不支持部分退款', 'unsupported'],
  ['refund', '20000000', '重复交易', 'unknown'],
  ['refund', '20000001', '操作过于频繁', 'rate_limited'],
  ['refund', '20000003', '账户冻结', 'misconfigured'],
  ['refund', '23000002', '数据权限', 'misconfigured'],
  ['refund', '23000003', '申请退款金额大于可退余额', 'invalid_request'],
  ['refund', '23000003', '退款金额大于待确认金额', 'invalid_request'],
  ['refund', '23000003', '账户余额不足', 'insufficient_balance'],
  ['refund', '90000000', '可用余额不足', 'insufficient_balance'],
  ['refund', '90000000', '业务执行失败', 'unknown'],
  ['refund', '23000004', '优惠订单不支持部分退款', 'unsupported'],
  ['refund', '10000000', '请求日期必须是当前日期', 'unknown'],
  ['refund', '10000000', 'ord_amt格式有误', 'invalid_request'],
  ['refund', '98888888', '账户余额不足', 'unknown'],
]

describe('huifu codes', () => {
  for (const [operation, code, text, verdict] of table) {
    it(`${operation} ${code} ${text} is ${verdict}`, () => {
      expect(readCode(operation, code, text).verdict).to.equal(verdict)
    })
  }

  it('names the cure of every refusal', () => {
    for (const [operation, code, text, verdict] of table) {
      if (['unknown', 'absent', 'final', 'repeated'].includes(verdict)) continue
      expect(readCode(operation, code, text).cure, `${operation} ${code}`)
        .to.be.a('string')
        .with.length.greaterThan(15)
    }
  })

  it('only two codes say that the call was processed', () => {
    expect(['00000000', '00000100', '00000001', '0', '', '10000'].map(isProcessed)).to.deep.equal([
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })

  it('a failed object is declined unless its text names a fault of configuration', () => {
    expect(readFailure('用户余额不足')).to.deep.equal({ reason: 'declined' })
    expect(readFailure('sub_appid与sub_openid不匹配').reason).to.equal('misconfigured')
  })

  it('takes only the documented gateway refusals from unsigned bodies', () => {
    const codes = ['40002', '20001', '20003', '40001', '20000', '10000', '23000003', '00000000', '10000000']
    expect(codes.map((code) => readGatewayCode(code).verdict)).to.deep.equal([
      'misconfigured',
      'misconfigured',
      'misconfigured',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
    ])
  })

  it('knows the non-standard statuses', () => {
    expect(
      [911, 914, 912, 921, 922, 923, 412, 404, 200, 500, 512].map((status) => readStatus(status).verdict),
    ).to.deep.equal([
      'rate_limited',
      'rate_limited',
      'misconfigured',
      'misconfigured',
      'misconfigured',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
      'unknown',
    ])
  })
})
