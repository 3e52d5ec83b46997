"""API keys: the list with each one's last use, a new one, a successor, the end of one. A secret is shown once."""

from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.access import api_keys
from bursar.kernel.access.api_keys import ApiKey, IssuedKey
from bursar.kernel.auth import Keys, needs
from bursar.kernel.errors import Invalid
from bursar.kernel.listing import Slice
from bursar.web.pages.account import proven_lately
from bursar.web.pages.paging import ROWS, Before
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Page, Visit, Visiting, to

SCOPE = "scope:"
"""What the names of the form's boxes begin with; the rest is the permission."""

LIVES = {"30": "30 days", "90": "90 days", "365": "a year", "": "for good"}
OVERLAPS = {"0": "not at all", "3600": "for an hour", "86400": "for a day", "604800": "for a week"}

router = APIRouter(route_class=PageRoute)


class KeyFormInvalid(Invalid):
    """The form names a span that it does not offer."""

    code = "key_form_invalid"


@router.get("/api-keys")
@needs("keys:read")
async def key_list(visit: Visiting, before_id: Before = None) -> Response:
    """Show the keys, newest first, and what one may do oneself to make another."""
    after = ids.parse(ids.API_KEY, before_id) if before_id else None
    async with visit.open() as page:
        found = await api_keys.keys(page.tx, tenant_id=visit.tenant_id, page=Slice(ROWS, after), now=visit.now)
        return page.answer(
            "api_keys.html",
            keys=found.rows,
            shown=_shown,
            after=ids.show(ids.API_KEY, found.next_after) if found.next_after else None,
            is_newest=before_id is None,
            scopes=sorted(visit.principal.permissions),
            prefix=SCOPE,
            lives=LIVES,
        )


@router.post("/api-keys")
@needs("keys:write")
async def add_key(visit: Visiting) -> Response:
    """Add a key, and show it."""
    fields = await proven_lately(visit)
    days = _chosen(fields, "days", LIVES)
    async with visit.open() as page:
        issued = await api_keys.add_key(
            page.tx,
            tenant_id=visit.tenant_id,
            name=fields.get("name", ""),
            scopes=[name.removeprefix(SCOPE) for name in fields if name.startswith(SCOPE)],
            expires_at=visit.now + timedelta(days=int(days)) if days else None,
            allowed_addresses=fields.get("addresses", "").replace(",", " ").split(),
            giver=visit.principal.giver,
            now=visit.now,
        )
        return _issued(page, issued, successor_of=None)


@router.get("/api-keys/{key}")
@needs("keys:read")
async def key_page(visit: Visiting, key: str) -> Response:
    """Show one key, and ask before it is rotated or revoked."""
    key_id = ids.parse(ids.API_KEY, key)
    async with visit.open() as page:
        found = await api_keys.key(page.tx, tenant_id=visit.tenant_id, key_id=key_id, now=visit.now)
        is_own = visit.principal.kind == "key" and visit.principal.id == key_id
        return page.answer("api_key.html", key=found, shown=_shown, overlaps=OVERLAPS, is_own=is_own)


@router.post("/api-keys/{key}/rotate")
@needs("keys:write")
async def rotate_key(visit: Visiting, key: str) -> Response:
    """Give a key a successor, and show it."""
    key_id = ids.parse(ids.API_KEY, key)
    overlap_s = _chosen(await proven_lately(visit), "overlap_s", OVERLAPS)
    async with visit.open() as page:
        issued = await api_keys.rotate_key(
            page.tx,
            tenant_id=visit.tenant_id,
            key_id=key_id,
            overlap_s=int(overlap_s),
            giver=visit.principal.giver,
            now=visit.now,
        )
        answer = _issued(page, issued, successor_of=key)
    _forget(visit, key)
    return answer


@router.post("/api-keys/{key}/revoke")
@needs("keys:write")
async def revoke_key(visit: Visiting, key: str) -> Response:
    """Take a key out of force."""
    key_id = ids.parse(ids.API_KEY, key)
    await visit.form()
    async with visit.open() as page:
        await api_keys.revoke_key(
            page.tx, tenant_id=visit.tenant_id, key_id=key_id, giver=visit.principal.giver, now=visit.now
        )
    _forget(visit, key)
    return to(f"/api-keys/{key}")


def _issued(page: Page, issued: IssuedKey, *, successor_of: str | None) -> Response:
    return page.answer(
        "api_key_issued.html", key=issued.key, secret=issued.secret, shown=_shown, successor_of=successor_of
    )


def _forget(visit: Visit, key: str) -> None:
    keys: Keys = visit.request.app.state.keys
    keys.forget(tenant_id=visit.tenant_id, key_id=ids.parse(ids.API_KEY, key))


def _shown(key: ApiKey) -> str:
    return ids.show(ids.API_KEY, key.id)


def _chosen(fields: dict[str, str], name: str, offered: dict[str, str]) -> str:
    given = fields.get(name, "")
    if given not in offered:
        raise KeyFormInvalid("This is none of the spans that the form offers.", hint="Go back and choose one.")
    return given
