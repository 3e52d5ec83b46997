"""Which role may use which route, from the routes' own declarations."""

from bursar import bootstrap
from bursar.kernel.auth import TenantRoute
from bursar.kernel.permissions import ALL, ROLES
from generator import markdown

_ABOUT = """
Each route names one permission; a caller without it gets 403 `permission_missing`, and a route that names none cannot be
made. A user has the permissions of its roles, an API key those of its scopes. The roles below are built in; a business may
name sets of its own. `x-permission` in `/openapi.json` says the same.
"""


def page() -> str:
    """Return the page."""
    routes = sorted(
        (route.path, method, route.policy.permission)
        for router in bootstrap.routers()
        for route in router.routes
        if isinstance(route, TenantRoute)
        for method in route.methods or ()
    )
    return markdown.page(
        "Permissions",
        _ABOUT,
        "## Roles",
        markdown.table(
            ("permission", *ROLES),
            [(markdown.code(name), *(_mark(name in held) for held in ROLES.values())) for name in sorted(ALL)],
        ),
        "## Routes",
        markdown.table(
            ("route", "permission", *ROLES),
            [
                (
                    markdown.code(f"{method} {path}"),
                    markdown.code(permission),
                    *(_mark(permission in held) for held in ROLES.values()),
                )
                for path, method, permission in routes
            ],
        ),
    )


def _mark(held: bool) -> str:  # noqa: FBT001 - drawn, not decided
    return "yes" if held else "–"
