"""`bursar issuer`: the identity providers whose tokens a tenant accepts."""

from typing import Annotated, Any

import typer

from bursar.cli.acting import TenantText, act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids
from bursar.kernel.access import OPERATOR
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.http.addresses import networks
from bursar.kernel.listing import LIMIT_MAX, Slice
from bursar.kernel.oidc import issuers
from bursar.kernel.oidc.issuers import Issuer, Rules
from bursar.kernel.oidc.key_sets import ALGORITHMS
from bursar.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Add, list and remove the identity providers whose tokens are accepted.")

Texts = list[str] | None


class MappingInvalid(Invalid):
    """A mapping is a value of the claim, an equals sign, and the name of a role."""

    code = "mapping_invalid"


class AlgorithmUnknown(Invalid):
    """Tokens are not accepted with this algorithm."""

    code = "algorithm_unknown"


@app.command()
def add(
    tenant: TenantText,
    issuer: Annotated[str, typer.Option(help="Exactly as the tokens' iss, to the last slash.")],
    audience: Annotated[str | None, typer.Option(help="What aud must hold.")] = None,
    data: Data = None,
    *,
    party: Annotated[Texts, typer.Option("--party", help="What azp may be; may be repeated.")] = None,
    algorithm: Annotated[Texts, typer.Option("--algorithm", help="As RS256 (the default); may be repeated.")] = None,
    leeway_s: Annotated[
        int, typer.Option(help="How far clocks may be apart, in seconds.", min=0, max=issuers.LEEWAY_S_MAX)
    ] = issuers.LEEWAY_S,
    roles_claim: Annotated[
        Texts, typer.Option("--roles-claim", help="Where the roles are, from the outside in; repeat for each step.")
    ] = None,
    map_role: Annotated[Texts, typer.Option("--map", help="VALUE=ROLE; may be repeated.")] = None,
    default_role: Annotated[
        Texts, typer.Option("--default-role", help="Of everybody whom the issuer knows; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Accept the tokens of an identity provider."""
    if unknown := set(algorithm or ()) - set(ALGORITHMS):
        raise AlgorithmUnknown(
            f"there is no algorithm {min(unknown)[:20]}", hint=f"There are: {', '.join(ALGORITHMS)}."
        )
    rules = Rules(
        issuer=issuer,
        audience=audience,
        authorized_parties=tuple(party or ()),
        algorithms=tuple(algorithm or ("RS256",)),
        leeway_s=leeway_s,
        roles_claim=tuple(roles_claim or ()),
        role_map=_mapped(map_role or []),
        default_roles=tuple(default_role or ()),
    )

    async def adding(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            added = await issuers.add_issuer(
                tx, tenant_id=tenant_id, rules=rules, permitted=networks(settings.issuer_networks), giver=OPERATOR
            )
        return _shown(added)

    added = act(data, adding)
    answer(added, f"{added['id']} accepts tokens of {added['issuer']}", as_json=as_json)


@app.command("list")
def list_issuers(tenant: TenantText, data: Data = None, *, as_json: Json = False) -> None:
    """List the identity providers whose tokens are accepted."""

    async def listing(db: Database, _: Settings) -> list[dict[str, Any]]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            found = await issuers.issuers(tx, tenant_id=tenant_id, page=Slice(LIMIT_MAX))
        return [_shown(one) for one in found.rows]

    rows = act(data, listing)
    lines = [f"{row['id']}  {row['issuer']}  {row['audience'] or ', '.join(row['authorized_parties'])}" for row in rows]
    answer({"data": rows}, "\n".join(lines) or "no identity issuers yet", as_json=as_json)


@app.command()
def remove(
    tenant: TenantText,
    issuer: Annotated[str, typer.Option(help="Which: iss_…")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Accept an identity provider's tokens no longer, within two seconds."""

    async def removing(db: Database, _: Settings) -> None:
        tenant_id, issuer_id = await tenant_of(db, tenant), ids.parse(ids.ISSUER, issuer)
        async with db.tenant(tenant_id) as tx:
            await issuers.remove_issuer(tx, tenant_id=tenant_id, issuer_id=issuer_id, giver=OPERATOR)

    act(data, removing)
    answer({"id": issuer, "removed": True}, f"{issuer} is removed", as_json=as_json)


def _mapped(texts: list[str]) -> dict[str, list[str]]:
    """Return names of roles by value. The last equals sign counts, because values may have some."""
    found: dict[str, list[str]] = {}
    for text in texts:
        value, _, role = text.rpartition("=")
        if not value or not role:
            raise MappingInvalid(f"{text[:60]} maps nothing", hint="Write VALUE=ROLE, as shop-admin=admin.")
        found.setdefault(value, []).append(role)
    return found


def _shown(issuer: Issuer) -> dict[str, Any]:
    rules = {name: getattr(issuer.rules, name) for name in Rules.__dataclass_fields__}
    lists = {name: list(value) for name, value in rules.items() if isinstance(value, tuple)}
    return {"id": ids.show(ids.ISSUER, issuer.id), **rules, **lists, "created_at": issuer.created_at.isoformat()}
