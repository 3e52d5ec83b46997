"""Webhook endpoints: who is told of what. An endpoint's secret is shown when it is made, and never again."""

from urllib.parse import urlsplit

from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import invalid
from bursar.sandbox.work import Work, new_id

ENDPOINTS_MAX = 16


def create(work: Work, params: Params) -> Json:
    """POST /v1/webhook_endpoints"""
    made = add(
        work,
        url=_address(params.need("url")),
        secret=new_id("whsec", 32),
        events=params.texts("enabled_events") or ["*"],
        description=params.text("description"),
    )
    made["metadata"] = params.mapping("metadata")
    params.accept("api_version", "connect")
    work.save(made)
    return made | {"secret": made["_secret"]}


def add(work: Work, *, url: str, secret: str, events: list[str], description: str | None = None) -> Json:
    """Tell an address of events from now on. Raises Refusal."""
    if len(work.all("webhook_endpoint")) >= ENDPOINTS_MAX:
        raise invalid(f"You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.")
    made = shapes.webhook_endpoint(work.now, url=url, enabled_events=events, description=description)
    return work.save(made | {"_secret": secret})


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/webhook_endpoints/{id}"""
    found = work.need("webhook_endpoint", ref)
    if params.has("url"):
        found["url"] = _address(params.need("url"))
    if params.has("enabled_events"):
        found["enabled_events"] = params.texts("enabled_events")
    if params.has("disabled"):
        found["status"] = "disabled" if params.flag("disabled") else "enabled"
    if params.has("description"):
        found["description"] = params.text("description")
    if params.has("metadata"):
        found["metadata"] = merged(found["metadata"], params.mapping("metadata"))
    return work.save(found)


def delete(work: Work, _params: Params, ref: str) -> Json:
    """DELETE /v1/webhook_endpoints/{id}"""
    work.need("webhook_endpoint", ref)
    work.delete(ref)
    return {"id": ref, "object": "webhook_endpoint", "deleted": True}


def _address(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise invalid(
            "Invalid URL: an explicit scheme (such as https) must be provided.", param="url", code="url_invalid"
        )
    return url
