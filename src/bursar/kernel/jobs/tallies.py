"""Counts of what became of jobs, by tenant, kind and day: for pages and metrics, never for a decision.

They are written about once a second; a worker that is killed takes the last second's with it.
"""

from dataclasses import dataclass
from uuid import UUID

from bursar.kernel.db import Database, storable
from bursar.kernel.jobs.leasing import ERROR_LENGTH_MAX

_ADD = """
insert into job_tally as t (tenant_id, kind, day, outcome, jobs, duration_ms, longest_ms, last_at, last_error)
select n.tenant_id, n.kind, (clock_timestamp() at time zone 'UTC')::date, n.outcome, n.jobs, n.duration_ms, n.longest_ms, clock_timestamp(), n.last_error
from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
  as n (tenant_id, kind, outcome, jobs, duration_ms, longest_ms, last_error)
order by n.tenant_id, n.kind, n.outcome
on conflict (tenant_id, kind, day, outcome) do update set
  jobs = t.jobs + excluded.jobs, duration_ms = t.duration_ms + excluded.duration_ms,
  longest_ms = greatest(t.longest_ms, excluded.longest_ms), last_at = excluded.last_at,
  last_error = coalesce(excluded.last_error, t.last_error)
"""


@dataclass(slots=True)
class _Count:
    jobs: int = 0
    duration_s: float = 0.0
    longest_s: float = 0.0
    last_error: str | None = None


class Tally:
    """What one worker has counted and not written yet."""

    def __init__(self) -> None:
        self._counts: dict[tuple[UUID, str, str], _Count] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, *, tenant_id: UUID, kind: str, outcome: str, duration_s: float, error: str | None) -> None:
        """Count one attempt."""
        count = self._counts.setdefault((tenant_id, kind, outcome), _Count())
        count.jobs += 1
        count.duration_s += duration_s
        count.longest_s = max(count.longest_s, duration_s)
        if error is not None:
            count.last_error = storable(error, length_max=ERROR_LENGTH_MAX)

    async def write(self, db: Database) -> None:
        """Add what was counted to the table. What cannot be written now is kept. Raises DatabaseUnavailable."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        try:
            async with db.engine() as tx:
                await tx.execute(_ADD, *_columns(counts))
        except BaseException:
            for who, count in counts.items():
                self._put_back(who, count)
            raise

    def _put_back(self, who: tuple[UUID, str, str], count: _Count) -> None:
        newer = self._counts.setdefault(who, _Count())
        newer.jobs += count.jobs
        newer.duration_s += count.duration_s
        newer.longest_s = max(newer.longest_s, count.longest_s)
        newer.last_error = newer.last_error or count.last_error


def _columns(counts: dict[tuple[UUID, str, str], _Count]) -> tuple[list[object], ...]:
    rows = [
        (*who, c.jobs, round(c.duration_s * 1000), round(c.longest_s * 1000), c.last_error) for who, c in counts.items()
    ]
    return tuple(map(list, zip(*rows, strict=True)))
