"""Routes of licence keys."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from bursar.kernel import audit, ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.http import Input, Key, Name, Page, PageFilters, View, page_of
from bursar.kernel.http.identifiers import CustomerId
from bursar.kernel.listing import ASKED
from bursar.money.fulfilment import licences, queries
from bursar.money.fulfilment.licences import LicenceNotFound
from bursar.money.fulfilment.schemas import EntitlementState, Licence

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["licences"])

LicenceKey = Annotated[Key, Field(examples=["7K2M-Q9XD-4TRB-ZH3V"])]
Fingerprint = Annotated[Key, Field(description="Names the device, as you choose.", examples=["laptop-3f9a"])]


class LicenceFilters(PageFilters):
    customer: CustomerId | None = None
    key: Key | None = None
    product: Key | None = None
    status: EntitlementState | None = None


class Validation(Input):
    key: LicenceKey


class Activation(Input):
    key: LicenceKey
    fingerprint: Fingerprint
    name: Name | None = None


class Deactivation(Input):
    key: LicenceKey
    fingerprint: Fingerprint


class Verdict(View):
    """Whether a key opens anything now. `licence` is null when there is no such key."""

    valid: bool
    code: Literal["valid", "licence_not_found", "licence_suspended", "licence_revoked", "licence_expired"]
    licence: Licence | None


@router.get("/licences")
@needs("licences:read")
async def list_licences(caller: CallerOf, filters: Annotated[LicenceFilters, Query()]) -> Page[Licence]:
    """List licences, newest first."""
    given = filters.given
    status = given.pop("status", None)
    if status:
        given[f"status={status}"] = ASKED
    async with caller.transaction() as tx:
        return page_of(await queries.licences(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.post("/licence-validations")
@needs("licences:read")
async def validate_licence(caller: CallerOf, asked: Validation) -> Verdict:
    """Say whether a key is good now. The answer is 200 either way."""
    async with caller.transaction() as tx:
        try:
            found = await licences.licence_by_key(tx, tenant_id=caller.tenant_id, key=asked.key, now=caller.now())
        except LicenceNotFound:
            return Verdict(valid=False, code="licence_not_found", licence=None)
        shown = await _shown(tx, caller, found)
    if found.is_usable:
        return Verdict(valid=True, code="valid", licence=shown)
    return Verdict.model_validate({"valid": False, "code": f"licence_{found.status}", "licence": shown})


@router.post("/licence-activations", status_code=201)
@needs("licences:write")
async def activate_licence(caller: CallerOf, wanted: Activation) -> Licence:
    """Count a device in. Repeating it for the same device changes nothing."""
    async with caller.transaction() as tx:
        found = await licences.activate(
            tx,
            tenant_id=caller.tenant_id,
            key=wanted.key,
            fingerprint=wanted.fingerprint,
            name=wanted.name,
            now=caller.now(),
        )
        await _tell(tx, caller, found, action="licence.activated", fingerprint=wanted.fingerprint)
        return await _shown(tx, caller, found)


@router.post("/licence-deactivations", status_code=201)
@needs("licences:write")
async def deactivate_licence(caller: CallerOf, wanted: Deactivation) -> Licence:
    """Count a device out."""
    async with caller.transaction() as tx:
        found = await licences.deactivate(
            tx, tenant_id=caller.tenant_id, key=wanted.key, fingerprint=wanted.fingerprint, now=caller.now()
        )
        await _tell(tx, caller, found, action="licence.deactivated", fingerprint=wanted.fingerprint)
        return await _shown(tx, caller, found)


async def _shown(tx: Transaction, caller: Caller, found: licences.Licence) -> Licence:
    return await queries.licence(tx, tenant_id=caller.tenant_id, licence_id=found.id)


async def _tell(tx: Transaction, caller: Caller, found: licences.Licence, *, action: str, fingerprint: str) -> None:
    await audit.record(
        tx,
        tenant_id=caller.tenant_id,
        actor=caller.actor,
        action=action,
        subject=ids.show(ids.LICENCE, found.id),
        changes={"fingerprint": fingerprint, "activations": found.activations},
    )
