"""Differences as a table for a spreadsheet (RFC 4180)."""

import csv
import json
from collections.abc import Iterable
from io import StringIO
from typing import Any, Final

from bursar.money.reconciliation.schemas import Difference

COLUMNS: Final = (
    *("id", "kind", "gateway_ref", "class", "state", "here", "there", "why", "explanation", "detail", "event"),
    *("found_at", "seen_at", "settled_at"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def sheet(differences: Iterable[Difference]) -> str:
    """Return a header and a line for each difference."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for each in differences:
        told = each.model_dump(mode="json", by_alias=True)
        writer.writerow([_cell(told[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    shown = "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
