"""How a business looks to its customers."""

from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError, Invalid
from bursar.money.storefront.colours import CONTRAST_MIN, contrast_on_page, readable


class AccentUnreadable(Invalid):
    """The accent cannot be read on the page."""

    code = "accent_unreadable"


@dataclass(frozen=True, slots=True)
class Theme:
    """name: None: the business's own. accent: `#rrggbb`. return_url: where the business's own pages are."""

    name: str | None = None
    logo_url: str | None = None
    accent: str | None = None
    support_email: str | None = None
    return_url: str | None = None


_COLUMNS: Final = "name, logo_url, accent, support_email, return_url"

_THEME = f"select {_COLUMNS} from theme where tenant_id = $1"
_LOCKED = f"select {_COLUMNS} from theme where tenant_id = $1 for update"

_SET = """
insert into theme (tenant_id, name, logo_url, accent, support_email, return_url)
values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id) do update
set name = excluded.name, logo_url = excluded.logo_url, accent = excluded.accent, support_email = excluded.support_email,
    return_url = excluded.return_url, changed_at = clock_timestamp()
"""


async def theme_of(tx: Transaction, *, tenant_id: UUID) -> Theme:
    """Return a business's theme; of one that chose nothing, an empty one."""
    row = await tx.fetchrow(_THEME, tenant_id)
    return Theme(**dict(row)) if row else Theme()


async def set_theme(tx: Transaction, *, tenant_id: UUID, theme: Theme, actor: str) -> Theme:
    """Let a business look so from now on. Raises AccentUnreadable."""
    if theme.accent and contrast_on_page(theme.accent) < CONTRAST_MIN:
        raise AccentUnreadable(
            f"{theme.accent} has a contrast of {contrast_on_page(theme.accent):.1f} with the page; text needs {CONTRAST_MIN}",
            hint=f"Take a darker shade: {readable(theme.accent)} is the nearest that can be read.",
            fields=(
                FieldError("accent", "accent_unreadable", f"the nearest that can be read: {readable(theme.accent)}"),
            ),
        )
    row = await tx.fetchrow(_LOCKED, tenant_id)
    before = Theme(**dict(row)) if row else Theme()
    if before != theme:
        await tx.execute(
            _SET, tenant_id, theme.name, theme.logo_url, theme.accent, theme.support_email, theme.return_url
        )
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="theme.changed",
            subject=ids.show(ids.TENANT, tenant_id),
            changes=audit.changed(asdict(before), asdict(theme)),
        )
    return theme
