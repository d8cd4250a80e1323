import type { Context } from '../context.ts'
import { receiptOrder } from '../flows/cashier-receipt.ts'
import { amountText, documentOf, type PageAssets } from './cashier-page.ts'
import { copyOf } from './cashier-copy.ts'
import type { Language } from './cashier-entry.ts'
import { html, jsonScript } from './html.ts'

/**
 * The Golden Plan (点金计划) receipt: WeChat frames it after a payment under a service provider (experience.md 2.9). It
 * shows an amount only for a payment that our rows know to have succeeded; otherwise it asks WeChat for its own slip.
 */
export async function receiptPage(
  ctx: Context,
  number: string,
  language: Language,
  assets: PageAssets,
): Promise<string> {
  const copy = copyOf(language)
  const order = await receiptOrder(ctx, number)
  const body = html`<body data-state="${order === undefined ? 'official' : 'paid'}" class="receipt">
    <main>
      ${
        order !== undefined &&
        html`<section class="card">
            <div class="mark" aria-hidden="true"></div>
            <h1 id="title">${copy('receiptTitle')}</h1>
            <p class="amount">${amountText(order, language)}</p>
            <p class="text">${order.subject}</p>
          </section>
          ${order.return_url !== null && html`<div class="actions"><a id="back" class="button" href="${order.return_url}">${copy('receiptBack')}</a></div>`}`
      }
    </main>
    ${jsonScript('receipt', { style: order === undefined ? 'SHOW_OFFICIAL_PAGE' : 'SHOW_CUSTOM_PAGE' })}
  </body>`
  return documentOf(language, copy('receiptTitle'), assets, body)
}
