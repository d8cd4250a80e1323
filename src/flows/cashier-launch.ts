import type { Context } from '../context.ts'
import { Problem } from '../core/problem.ts'
import { isPaidByAnother, type CashierOrder } from './cashier-order.ts'
import { isHosted, launchChannel, launchOrder } from './launch-order.ts'

/** The cashier's ways into the mini-program, for browsers in which it cannot pay itself (experience.md 2.2, 4.2). */

/** Is there a mini-program that could take this order? Asked for every page outside WeChat, so nothing is made here. */
export function mayLaunch(ctx: Context, { order, merchant }: CashierOrder): boolean {
  try {
    const facts = launchChannel(ctx, merchant, order).provider.methods.wechat_mini
    return facts?.hosted === true || ctx.launches.miniProgram(facts?.openidOf ?? '') !== undefined
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
}

/**
 * Where a browser outside WeChat goes, made on the tap and kept for the order.
 * @throws Problem whatever launchOrder throws
 */
export async function launchLink(ctx: Context, found: CashierOrder, clientIp: string): Promise<string | undefined> {
  const { order, merchant } = found
  // A hosted launch is an attempt: it must not take the place of somebody who is paying at this moment.
  const hosted = isHosted(launchChannel(ctx, merchant, order))
  if (hosted && (await isPaidByAnother(ctx, order, undefined, false))) return undefined
  const launch = await launchOrder(ctx, merchant, order.id, 'browser', clientIp)
  return launch.kind === 'miniprogram' ? undefined : launch.url
}

/** The page inside the mini-program whose web-view the cashier is in; undefined when it cannot be opened. */
export async function launchPath(ctx: Context, found: CashierOrder, clientIp: string): Promise<string | undefined> {
  try {
    // Looking at a page makes no attempt, and a web-view cannot be inside the provider's own mini-program anyway.
    if (isHosted(launchChannel(ctx, found.merchant, found.order))) return undefined
    const launch = await launchOrder(ctx, found.merchant, found.order.id, 'app', clientIp)
    return launch.kind === 'miniprogram' ? `/${launch.path.replace(/^\//, '')}` : undefined
  } catch (error) {
    if (error instanceof Problem) return undefined
    throw error
  }
}
