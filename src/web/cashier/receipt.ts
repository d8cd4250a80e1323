/* The Golden Plan receipt: tells WeChat's page, first thing, which slip to show (experience.md 2.9). */

const origin = 'https://payapp.weixin.qq.com'
const setup = JSON.parse(document.getElementById('receipt')?.textContent ?? '{}') as { style?: string }

function tell(message: object): void {
  window.parent.postMessage(JSON.stringify(message), origin)
}

tell({ action: 'onIframeReady', displayStyle: setup.style ?? 'SHOW_OFFICIAL_PAGE', height: 600 })

document.getElementById('back')?.addEventListener('click', (event) => {
  event.preventDefault()
  const { href } = event.currentTarget as HTMLAnchorElement
  // Only WeChat's page can leave its own frame.
  tell({ action: 'jumpOut', jumpOutUrl: href })
})
