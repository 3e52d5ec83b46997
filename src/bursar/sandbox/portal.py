"""Links to the gateway's own page for a customer."""

from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.forms import Params
from bursar.sandbox.work import Work, new_id


def create(work: Work, params: Params) -> Json:
    """POST /v1/billing_portal/sessions"""
    customer = work.need("customer", params.need("customer"), param="customer")
    made = shapes.new("billing_portal.session", "bps", work.now)
    secret = new_id("test", 40)
    del made["metadata"]
    return work.save(
        made
        | {
            "configuration": "bpc_sandbox",
            "customer": customer["id"],
            "customer_account": None,
            "flow": None,
            "locale": params.text("locale"),
            "on_behalf_of": None,
            "return_url": params.text("return_url"),
            "url": f"{work.asked.base}/p/session/{made['id']}/{secret}",
            "_secret": secret,
        }
    )
