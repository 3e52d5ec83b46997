"""How many rows of which table something wrote, counted by PostgreSQL itself."""

import json
import time
from collections.abc import Mapping

from benchmarks.ground import Ground

_COUNTS = """
select coalesce(json_object_agg(name, written), '{}') from (
  select case when relname like 'gateway_event_body%' then 'gateway_event_body' else relname end as name,
    sum(n_tup_ins + n_tup_upd + n_tup_del) as written
  from pg_stat_user_tables where schemaname = 'public' group by 1 having sum(n_tup_ins + n_tup_upd + n_tup_del) > 0) t
"""
_SETTLED_S = 1.5
"""Backends tell their counts at most once a second, or when they end."""


def written(here: Ground) -> dict[str, int]:
    """Return rows inserted, updated and deleted so far, by table."""
    time.sleep(_SETTLED_S)
    return dict(json.loads(here.program("psql", "-qXtAc", _COUNTS)))


def between(before: Mapping[str, int], after: Mapping[str, int], *, events: float) -> dict[str, float]:
    """Return the rows written for each event between two counts, by table, without those below one in a hundred."""
    rows = {name: (count - before.get(name, 0)) / events for name, count in after.items()}
    return {name: round(each, 2) for name, each in sorted(rows.items()) if each >= 0.01}
