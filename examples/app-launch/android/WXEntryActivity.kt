package com.example.shop.wxapi

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import com.tencent.mm.opensdk.constants.ConstantsAPI
import com.tencent.mm.opensdk.modelbase.BaseReq
import com.tencent.mm.opensdk.modelbase.BaseResp
import com.tencent.mm.opensdk.openapi.IWXAPIEventHandler
import com.tencent.mm.opensdk.openapi.WXAPIFactory

/** WeChat calls the class of this name, in the package wxapi below the application's own. */
class WXEntryActivity : Activity(), IWXAPIEventHandler {
    private val api by lazy { WXAPIFactory.createWXAPI(this, "wx-your-app-id", true) }

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        api.handleIntent(intent, this)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        setIntent(intent)
        api.handleIntent(intent, this)
    }

    /**
     * The payer pressed "back to the app". The answer carries {"orderId": "…"} in extMsg: a hint, no proof. Finishing
     * brings the order's own screen to the front, and its onResume asks the server.
     */
    override fun onResp(response: BaseResp) {
        if (response.type == ConstantsAPI.COMMAND_LAUNCH_WX_MINIPROGRAM) finish()
    }

    override fun onReq(request: BaseReq) = finish()
}
