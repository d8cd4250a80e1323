import { amountText } from '../../money'
import { textsFor } from '../../texts'
import { createVisit, type State, type Visit } from '../../visit'

/** The page a launch opens: one order, one button, and the way back. */

/** Opened by a native app; only then may a button return to it (scene value of WXLaunchMiniProgramReq). */
const fromAppScene = 1069
/** Scenes that keep the right to return; any other entry drops it. */
const keepingScenes = [1001, 1038, 1089, 1090, 1131, 1187]

let mayReturn = false
const visits = new WeakMap<object, Visit>()

const canPay: readonly State[] = ['ready', 'creating', 'invoking', 'cancelled', 'failed']
const canCheck: readonly State[] = ['slow', 'offline']
const isBusy: readonly State[] = ['opening', 'creating', 'invoking', 'confirming']
const hasEnded: readonly State[] = ['paid', 'expired', 'taken', 'refused', 'slow', 'cancelled', 'failed']

Component({
  data: {
    state: 'opening',
    message: '',
    merchant: '',
    subject: '',
    amount: '',
    canPay: false,
    canCheck: false,
    busy: true,
    fromApp: false,
    ended: false,
    backByHand: false,
    appParameter: '{}',
    texts: {},
  },
  methods: {
    onLoad(query: Record<string, string | undefined>) {
      this.setData({ texts: textsFor(wx.getAppBaseInfo().language) })
      this.enter(wx.getEnterOptionsSync().scene)
      this.visit(query['t'] ?? '')
    },
    /** Also runs when the running mini-program is opened again: with a new token it is a new visit. */
    onShow() {
      const options = wx.getEnterOptionsSync()
      this.enter(options.scene)
      const token: unknown = options.query['t']
      const visit = visits.get(this)
      if (typeof token === 'string' && token !== '' && token !== visit?.token) this.visit(token)
      else void visit?.wake()
    },
    onUnload() {
      visits.get(this)?.end()
    },
    enter(scene: number) {
      mayReturn = scene === fromAppScene || (mayReturn && keepingScenes.includes(scene))
      this.setData({ fromApp: mayReturn })
    },
    visit(token: string) {
      visits.get(this)?.end()
      const visit = createVisit(token, (state, order) => {
        this.display(state)
        if (order === undefined) return
        this.setData({
          merchant: order.merchant_name,
          subject: order.subject,
          amount: amountText(order.amount, order.currency),
          // The app asks its own server about this order; nothing in here is proof of payment.
          appParameter: JSON.stringify({ orderId: order.id }),
        })
      })
      visits.set(this, visit)
      this.display(token === '' ? 'missing' : 'opening')
      if (token !== '') void visit.begin()
    },
    display(state: State) {
      this.setData({
        state,
        message: textsFor(wx.getAppBaseInfo().language)[state],
        canPay: canPay.includes(state),
        canCheck: canCheck.includes(state),
        busy: isBusy.includes(state),
        ended: hasEnded.includes(state),
        backByHand: false,
      })
    },
    onPay() {
      void visits.get(this)?.pay()
    },
    onCheck() {
      void visits.get(this)?.check()
    },
    /** Not opened from an app after all, or by a client too old to return. */
    onReturnError() {
      this.setData({ backByHand: true })
    },
  },
})
