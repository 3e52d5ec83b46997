"""Routes of identity issuers, and of the people who came with their tokens."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Key, Page, PageFilters, View, page_of
from bursar.kernel.http.addresses import networks
from bursar.kernel.http.identifiers import ExternalUserId, IssuerId
from bursar.kernel.listing import Part
from bursar.kernel.oidc import external_users, issuers
from bursar.kernel.oidc.external_users import ExternalUser
from bursar.kernel.oidc.issuers import Issuer, Rules
from bursar.kernel.oidc.recognising import Tokens

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["identity issuers"])

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Claim = Annotated[str, Field(min_length=1, max_length=200)]
IssuerPath = Annotated[IssuerId, Path()]
UserPath = Annotated[ExternalUserId, Path()]


class IdentityIssuer(View):
    """An identity provider whose tokens are accepted, and how they are read."""

    id: IssuerId
    issuer: str = Field(examples=["https://login.example.org/realms/main"])
    audience: str | None
    authorized_parties: list[str]
    algorithms: list[str]
    leeway_s: int
    subject_claim: str
    email_claim: str
    name_claim: str
    roles_claim: list[str]
    role_map: dict[str, list[str]]
    default_roles: list[str]
    created_at: datetime


class NewIdentityIssuer(Input):
    issuer: Key = Field(
        description="Exactly as the tokens' `iss`, to the last slash.",
        examples=["https://login.example.org/realms/main"],
    )
    audience: Key | None = Field(default=None, description="What `aud` must hold. Else: authorized_parties.")
    authorized_parties: list[Key] = Field(
        default_factory=list, max_length=issuers.PARTIES_MAX, description="What `azp` may be; none: anything."
    )
    algorithms: list[Algorithm] = Field(default=["RS256"], min_length=1, max_length=10)
    leeway_s: int = Field(default=issuers.LEEWAY_S, ge=0, le=issuers.LEEWAY_S_MAX)
    subject_claim: Key = Field(default="sub", max_length=200)
    email_claim: Key = Field(default="email", max_length=200)
    name_claim: Key = Field(default="name", max_length=200)
    roles_claim: list[Key] = Field(
        default_factory=list,
        max_length=issuers.PATH_MAX,
        description="Where the roles are, from the outside in.",
        examples=[["realm_access", "roles"]],
    )
    role_map: dict[Key, Annotated[list[Key], Field(min_length=1, max_length=issuers.ROLES_MAX)]] = Field(
        default_factory=dict,
        max_length=issuers.MAPPED_MAX,
        description="Names of roles for each value of that claim; a value that is not here gives nothing.",
        examples=[{"shop-admin": ["admin"]}],
    )
    default_roles: list[Key] = Field(
        default_factory=list, max_length=issuers.ROLES_MAX, description="Of everybody whom this issuer knows."
    )


class ExternalUserView(View):
    """A person whom an identity provider named."""

    id: ExternalUserId
    issuer: str
    subject: str
    email: str | None = Field(description="As the issuer told it; nothing is decided by it.")
    name: str | None
    status: Literal["active", "deactivated"]
    first_seen_at: datetime
    last_seen_at: datetime = Field(description="To the minute.")


@router.get("/identity-issuers")
@needs("settings:write")
async def list_identity_issuers(caller: CallerOf, filters: Annotated[PageFilters, Query()]) -> Page[IdentityIssuer]:
    """List the identity providers whose tokens are accepted."""
    async with caller.transaction() as tx:
        found = await issuers.issuers(tx, tenant_id=caller.tenant_id, page=filters.slice)
    return page_of(Part(tuple(map(_shown, found.rows)), found.next_after))


@router.post("/identity-issuers", status_code=201)
@needs("settings:write")
async def add_identity_issuer(caller: CallerOf, new: NewIdentityIssuer) -> IdentityIssuer:
    """Accept an identity provider's tokens. It is asked for its keys when the first token comes."""
    given = new.model_dump()
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    async with caller.transaction() as tx:
        added = await issuers.add_issuer(
            tx,
            tenant_id=caller.tenant_id,
            rules=Rules(**(given | lists)),
            permitted=networks(caller.resources.settings.issuer_networks),
            giver=caller.giver,
        )
    return _shown(added)


@router.get("/identity-issuers/{issuer}")
@needs("settings:write")
async def get_identity_issuer(caller: CallerOf, issuer: IssuerPath) -> IdentityIssuer:
    """Return one of them."""
    async with caller.transaction() as tx:
        return _shown(await issuers.issuer(tx, tenant_id=caller.tenant_id, issuer_id=issuer))


@router.delete("/identity-issuers/{issuer}", status_code=204)
@needs("settings:write")
async def remove_identity_issuer(caller: CallerOf, issuer: IssuerPath) -> Response:
    """Accept its tokens no longer, within two seconds. Who came with them stays known, and comes back as the same person."""
    async with caller.transaction() as tx:
        await issuers.remove_issuer(tx, tenant_id=caller.tenant_id, issuer_id=issuer, giver=caller.giver)
    return Response(status_code=204)


@router.get("/external-users")
@needs("users:read")
async def list_external_users(caller: CallerOf, filters: Annotated[PageFilters, Query()]) -> Page[ExternalUserView]:
    """List the people who came with tokens, newest first."""
    async with caller.transaction() as tx:
        found = await external_users.external_users(tx, tenant_id=caller.tenant_id, page=filters.slice)
    return page_of(Part(tuple(map(_person, found.rows)), found.next_after))


@router.get("/external-users/{external_user}")
@needs("users:read")
async def get_external_user(caller: CallerOf, external_user: UserPath) -> ExternalUserView:
    """Return one of them."""
    async with caller.transaction() as tx:
        return _person(await external_users.external_user(tx, tenant_id=caller.tenant_id, user_id=external_user))


@router.post("/external-users/{external_user}/deactivations", status_code=201)
@needs("users:write")
async def deactivate_external_user(request: Request, caller: CallerOf, external_user: UserPath) -> ExternalUserView:
    """Refuse a person's tokens, within two seconds, however genuine they are."""
    async with caller.transaction() as tx:
        person = await external_users.deactivate(
            tx, tenant_id=caller.tenant_id, user_id=external_user, giver=caller.giver, now=caller.now()
        )
    tokens: Tokens = request.app.state.tokens
    tokens.forget(tenant_id=caller.tenant_id, user_id=external_user)
    return _person(person)


@router.post("/external-users/{external_user}/reactivations", status_code=201)
@needs("users:write")
async def reactivate_external_user(caller: CallerOf, external_user: UserPath) -> ExternalUserView:
    """Accept a person's tokens again."""
    async with caller.transaction() as tx:
        person = await external_users.reactivate(
            tx, tenant_id=caller.tenant_id, user_id=external_user, giver=caller.giver
        )
    return _person(person)


def _shown(issuer: Issuer) -> IdentityIssuer:
    rules = {name: getattr(issuer.rules, name) for name in Rules.__dataclass_fields__}
    lists = {name: list(value) for name, value in rules.items() if isinstance(value, tuple)}
    return IdentityIssuer(id=issuer.id, created_at=issuer.created_at, **(rules | lists))


def _person(user: ExternalUser) -> ExternalUserView:
    shown = {name: getattr(user, name) for name in ExternalUser.__dataclass_fields__ if name != "deactivated_at"}
    return ExternalUserView(status=user.status, **shown)
