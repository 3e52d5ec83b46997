"""Customers: whoever pays, with the method that is taken when nobody says which."""

from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.work import Work

_TEXTS = ("email", "name", "phone", "description", "tax_exempt")


def create(work: Work, params: Params) -> Json:
    """POST /v1/customers"""
    made = shapes.customer(work.now)
    _fill(work, made, params)
    method = params.text("payment_method")
    if method:
        from bursar.sandbox import methods  # noqa: PLC0415 - a method belongs to a customer, who may begin with one

        methods.attach_to(work, methods.named(work, method, param="payment_method"), made)
    work.save(made)
    work.tell("customer.created", made)
    return made


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/customers/{id}"""
    found = work.need("customer", ref)
    changed: Json = {**found, "invoice_settings": dict(found["invoice_settings"])}
    _fill(work, changed, params)
    return work.change("customer.updated", found, **changed)


def delete(work: Work, _params: Params, ref: str) -> Json:
    """DELETE /v1/customers/{id}"""
    found = work.need("customer", ref)
    work.tell("customer.deleted", found)
    work.delete(ref)
    return {"id": ref, "object": "customer", "deleted": True}


def _fill(work: Work, customer: Json, params: Params) -> None:
    for name in _TEXTS:
        if params.has(name):
            customer[name] = params.text(name, "none" if name == "tax_exempt" else None)
    if params.has("metadata"):
        customer["metadata"] = merged(customer["metadata"], params.mapping("metadata"))
    if params.has("preferred_locales"):
        customer["preferred_locales"] = params.texts("preferred_locales")
    for name in ("address", "shipping"):
        if params.has(name):
            given = params.raw(name)
            customer[name] = (shapes.NO_ADDRESS | given if name == "address" else given) if given else None
    settings = params.child("invoice_settings")
    if settings:
        ref = settings.text("default_payment_method")
        if ref:
            work.need("payment_method", ref, param="invoice_settings[default_payment_method]")
        customer["invoice_settings"]["default_payment_method"] = ref
