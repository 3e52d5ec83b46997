"""Attendance: how full classes were, who came, who stayed away and who cancelled, by day, class, instructor or venue."""

from dataclasses import dataclass
from datetime import date
from typing import Final, Literal
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.zones import Days, earliest_of, latest_of

Grouping = Literal["day", "title", "staff", "venue"]
ROWS_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class AttendanceRow:
    """What classes came to. key: the day, title, instructor or venue. All but `classes` and `cancelled_classes` are seats.

    booked: seats that were given out and not given up, whoever came. open: of these, those of whom nobody has said yet whether they came.
    late: given up too late; in time: given up in time.
    """

    key: str
    classes: int
    cancelled_classes: int
    capacity: int
    booked: int
    attended: int
    missed: int
    late: int
    in_time: int

    @property
    def open(self) -> int:
        return self.booked - self.attended - self.missed

    @property
    def occupancy(self) -> str | None:
        """The share of the seats that were given out, to four places; None where there were none."""
        return f"{self.booked / self.capacity:.4f}" if self.capacity else None


@dataclass(frozen=True, slots=True)
class Attendance:
    """Classes from the first day to the last, both included, by the clocks of the venues. total: over all rows, cut or not."""

    first: date
    last: date
    by: Grouping
    rows: tuple[AttendanceRow, ...]
    total: AttendanceRow
    is_cut: bool


# A class and its seats are summed apart and joined by the class, so that neither multiplies the other.
_BY: Final[dict[Grouping, str]] = {
    "day": "c.local_date::text",
    "title": "c.title",
    "staff": "coalesce(s.name, '')",
    "venue": "v.name",
}

_STATEMENT = """
with seat as materialized (
  select b.class_id,
    sum(b.seats) filter (where b.status in ('booked', 'attended', 'no_show')) as booked,
    sum(b.seats) filter (where b.status = 'attended') as attended,
    sum(b.seats) filter (where b.status = 'no_show') as missed,
    sum(b.seats) filter (where b.status = 'late_cancelled') as late,
    sum(b.seats) filter (where b.status = 'cancelled') as in_time
  from booking b where b.tenant_id = $1 and b.local_date >= $2 and b.local_date <= $3 and b.kind = 'class' group by b.class_id
)
select {key} as key, grouping({key}) = 1 as is_total,
  count(*) filter (where c.status = 'scheduled') as classes,
  count(*) filter (where c.status = 'cancelled') as cancelled_classes,
  coalesce(sum(c.capacity) filter (where c.status = 'scheduled'), 0) as capacity,
  coalesce(sum(seat.booked), 0)::bigint as booked, coalesce(sum(seat.attended), 0)::bigint as attended,
  coalesce(sum(seat.missed), 0)::bigint as missed, coalesce(sum(seat.late), 0)::bigint as late,
  coalesce(sum(seat.in_time), 0)::bigint as in_time
from venue v
join class_instance c on c.tenant_id = v.tenant_id and c.venue_id = v.id and c.local_date >= $2 and c.local_date <= $3
  and c.starts_at >= $6 and c.starts_at < $7
left join staff s on s.tenant_id = c.tenant_id and s.id = c.staff_id
left join seat on seat.class_id = c.id
where v.tenant_id = $1 and ($4::uuid is null or v.id = $4) and c.status in ('scheduled', 'cancelled')
group by rollup ({key}) order by is_total desc, key limit $5
"""

STATEMENTS: Final = {by: _STATEMENT.format(key=key) for by, key in _BY.items()}


async def attendance(
    tx: Transaction, *, tenant_id: UUID, days: Days, by: Grouping, venue_id: UUID | None
) -> Attendance:
    """Return what classes of these days came to. Only the dates of `days` count: a class's day is its venue's."""
    between = (earliest_of(days.first), latest_of(days.last))
    found = await tx.fetch(STATEMENTS[by], tenant_id, days.first, days.last, venue_id, ROWS_MAX + 2, *between)
    rows = [
        AttendanceRow(
            **{name: row[name] for name in AttendanceRow.__dataclass_fields__ if name != "key"}, key=row["key"] or ""
        )
        for row in found
    ]
    total, shown = rows[0], rows[1:]
    return Attendance(days.first, days.last, by, tuple(shown[:ROWS_MAX]), total, is_cut=len(shown) > ROWS_MAX)
