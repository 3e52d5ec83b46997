"""Seats that are kept for who walks in, or for who books online: as many as the statement that takes seats leaves alone. Pure."""

from datetime import timedelta

from bursar.apps.booking.rules.catalogue import BY_ID
from bursar.apps.booking.rules.models import STAFFED, Situation


def seats_kept(situation: Situation) -> int:
    """Return how many free seats whoever asks must leave; so that of two who see the same seats only one takes the last that is theirs."""
    rule = BY_ID["online_reserve" if situation.source in STAFFED else "walk_in_reserve"]
    values = situation.settings.values(rule)
    ends_at = situation.a_class.starts_at - timedelta(minutes=int(values["until_minutes"]))
    return int(values["seats"]) if situation.settings.is_on(rule) and situation.now < ends_at else 0
