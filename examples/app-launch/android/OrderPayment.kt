package com.example.shop

import com.tencent.mm.opensdk.modelbiz.WXLaunchMiniProgram
import com.tencent.mm.opensdk.openapi.IWXAPI

/** What your own server passes on from POST /v1/orders/{id}/launch. */
data class Launch(val userName: String, val path: String)

/** Your own server: it holds the API key and hears the gateway's webhooks. */
interface ShopServer {
    fun launch(orderId: String, done: (Launch?) -> Unit)
    fun orderState(orderId: String, done: (String) -> Unit)
}

/** Pays one order in the mini-program. Only your server says whether it is paid. */
class OrderPayment(
    private val orderId: String,
    private val api: IWXAPI,
    private val server: ShopServer,
    private val show: (String) -> Unit,
) {
    fun pay() {
        if (!api.isWXAppInstalled) return show("wechat-missing")
        // A new launch for every tap: one lives ten minutes and belongs to whoever opens it first.
        server.launch(orderId) { launch ->
            if (launch == null) return@launch show("unreachable")
            val request = WXLaunchMiniProgram.Req()
            request.userName = launch.userName
            request.path = launch.path
            request.miniprogramType = WXLaunchMiniProgram.Req.MINIPTOGRAM_TYPE_RELEASE // the SDK's own spelling
            if (!api.sendReq(request)) refresh()
        }
    }

    /** Call this from onResume: many payers come back with the task switcher, and then no answer arrives. */
    fun refresh() = server.orderState(orderId, show)
}
