"""The pages of `docs/reference` that are made from the code, and nothing written by hand but their first lines."""

from generator import (
    booking_rules,
    commands,
    errors,
    events,
    gateways,
    invariants,
    permissions,
    routes,
    settings,
    tables,
)


def pages(database_url: str) -> dict[str, str]:
    """Return every generated page by file name. database_url: a migrated database, read by its owner."""
    return {
        "api.md": routes.page(),
        "booking-rules.md": booking_rules.page(),
        "errors.md": errors.page(),
        "settings.md": settings.page(),
        "tables.md": tables.page(database_url),
        "command-line.md": commands.page(),
        "events.md": events.page(),
        "gateways.md": gateways.page(),
        "invariants.md": invariants.page(),
        "permissions.md": permissions.page(),
    }
