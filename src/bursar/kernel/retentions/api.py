"""Routes of how long a tenant's answers to Idempotency-Keys are kept."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.errors import Invalid
from bursar.kernel.http import Input, View
from bursar.kernel.retentions.own import (
    CLASSES,
    SECONDS_MAX,
    SECONDS_MIN,
    Own,
    RetentionClass,
    defaults,
    own_retentions,
    set_own_retentions,
)

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["idempotency"])

Seconds = Annotated[int, Field(ge=SECONDS_MIN, le=SECONDS_MAX, examples=[86_400])]


class IdempotencyRetentionTwice(Invalid):
    """A class is named twice."""

    code = "idempotency_retention_twice"


class OwnIdempotencyRetention(Input):
    retention_class: RetentionClass = Field(alias="class")
    seconds: Seconds


class OwnIdempotencyRetentions(Input):
    """What is not named has the installation's number."""

    retentions: list[OwnIdempotencyRetention] = Field(max_length=10)


class IdempotencyRetention(View):
    """How long the answers of a class of routes are kept."""

    retention_class: RetentionClass = Field(serialization_alias="class")
    seconds: Seconds
    is_own: bool = Field(description="False: the installation's number.")


class IdempotencyRetentions(View):
    retentions: list[IdempotencyRetention]


@router.get("/idempotency-retentions")
@needs("settings:write")
async def get_idempotency_retentions(caller: CallerOf) -> IdempotencyRetentions:
    """Show how long answers to Idempotency-Keys are kept."""
    async with caller.transaction() as tx:
        return _shown(caller, await own_retentions(tx, tenant_id=caller.tenant_id))


@router.put("/idempotency-retentions")
@needs("settings:write")
async def set_idempotency_retentions(caller: CallerOf, wanted: OwnIdempotencyRetentions) -> IdempotencyRetentions:
    """Set the tenant's own numbers in place of the ones it has. They count for answers from now on."""
    own: Own = {one.retention_class: one.seconds for one in wanted.retentions}
    if len(own) != len(wanted.retentions):
        raise IdempotencyRetentionTwice("a class is named twice", hint="Name each once.")
    async with caller.transaction() as tx:
        await set_own_retentions(tx, tenant_id=caller.tenant_id, own=own, actor=caller.actor)
    return _shown(caller, own)


def _shown(caller: Caller, own: Own) -> IdempotencyRetentions:
    numbers = defaults(caller.resources.settings) | dict(own)
    return IdempotencyRetentions(
        retentions=[
            IdempotencyRetention(retention_class=one, seconds=numbers[one], is_own=one in own) for one in CLASSES
        ]
    )
