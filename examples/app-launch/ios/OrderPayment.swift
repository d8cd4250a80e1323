import UIKit

/// What your own server passes on from POST /v1/orders/{id}/launch.
struct Launch: Decodable {
    let user_name: String
    let path: String
}

/// Pays one order in the mini-program. Only your server says whether it is paid.
final class OrderPayment: NSObject, WXApiDelegate {
    private let orderId: String
    private let server: ShopServer
    private let show: (OrderState) -> Void

    init(orderId: String, server: ShopServer, show: @escaping (OrderState) -> Void) {
        self.orderId = orderId
        self.server = server
        self.show = show
        super.init()
        // Many payers come back with the task switcher, and then onResp is never called.
        NotificationCenter.default.addObserver(
            self, selector: #selector(refresh), name: UIApplication.didBecomeActiveNotification, object: nil)
    }

    func pay() {
        guard WXApi.isWXAppInstalled() else { return show(.weChatMissing) }
        // A new launch for every tap: one lives ten minutes and belongs to whoever opens it first.
        server.launch(orderId: orderId) { [weak self] (launch: Launch?) in
            guard let self, let launch else { self?.show(.unreachable); return }
            let request = WXLaunchMiniProgramReq.object()
            request.userName = launch.user_name
            request.path = launch.path
            request.miniProgramType = .release
            WXApi.send(request) { opened in
                if !opened { self.refresh() }
            }
        }
    }

    /// The payer pressed "back to the app". extMsg is {"orderId": "…"}: a hint, no proof.
    func onResp(_ response: BaseResp) {
        if response is WXLaunchMiniProgramResp { refresh() }
    }

    func onReq(_ request: BaseReq) {}

    @objc private func refresh() {
        server.orderState(orderId: orderId) { [weak self] state in self?.show(state) }
    }
}

enum OrderState { case open, paid, closed, unreachable, weChatMissing }

/// Your own server: it holds the API key and hears the gateway's webhooks.
protocol ShopServer {
    func launch(orderId: String, done: @escaping (Launch?) -> Void)
    func orderState(orderId: String, done: @escaping (OrderState) -> Void)
}

// In the SceneDelegate, so that WeChat's answer arrives:
//   func scene(_ scene: UIScene, continue activity: NSUserActivity) {
//       WXApi.handleOpenUniversalLink(activity, delegate: payment)
//   }
