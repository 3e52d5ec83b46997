"""The composition root: who listens to what, in one readable list."""

from importlib import import_module
from typing import TYPE_CHECKING

from bursar.alerts import jobs as alert_jobs
from bursar.apps.booking import bookings, fees, packs, people
from bursar.apps.booking.bookings import seat_jobs
from bursar.apps.booking.bookings.seat import Seats
from bursar.apps.booking.rules import jobs as rules_jobs
from bursar.apps.booking.schedule import jobs as schedule_jobs
from bursar.health import figures
from bursar.kernel.clock import utc_now
from bursar.kernel.identity.letters import Composer
from bursar.kernel.jobs import Kind, Kinds, Schedule
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money import calls, changing, customers, disputing, paying, refunding, sagas
from bursar.money.disputing import reminding
from bursar.money.fulfilment import Registry
from bursar.money.fulfilment.credits import Credits
from bursar.money.fulfilment.entitlements import Features, Licences, Quotas
from bursar.money.gateways.callers import Callers
from bursar.money.paying import expiring
from bursar.money.portal import opening
from bursar.money.reconciliation import jobs as reconciliation_jobs

if TYPE_CHECKING:
    from fastapi import APIRouter

FULFILLERS = (Credits, Features, Quotas, Licences, Seats, fees.Fees)
"""Who delivers which kind of grant. An app adds its own here."""

RESERVED_SPENDS = (bookings.SPENDS, *packs.SPENDS)
"""Whose spends of credits go back with what they are for only. An app adds its own here."""

ASKERS = (refunding.ASKER, changing.ASKER, disputing.ASKER, paying.ASKER, paying.SAVING, sagas.ASKER)
"""Who asks something of gateways and hears what came of it."""

ENDERS = (bookings.end_ahead,)
"""Who ends what lies ahead of a customer that is deleted or erased. An app adds its own here."""

OUTSIDE = calls.Outside(Callers().of, clock=utc_now)
"""The way out of this process: connections to gateways, and the circuits before them."""

JOBS: tuple[Kind, ...] = (
    calls.execution(OUTSIDE, ASKERS),
    calls.lookup(OUTSIDE, ASKERS),
    customers.ending(ENDERS),
    *reconciliation_jobs.kinds(OUTSIDE),
    *expiring.KINDS,
    *reminding.KINDS,
    *opening.KINDS,
    *figures.KINDS,
    *schedule_jobs.KINDS,
    *bookings.KINDS,
    *rules_jobs.KINDS,
    *packs.KINDS,
    *alert_jobs.KINDS,
    *seat_jobs.KINDS,
    *fees.KINDS,
)
"""Who does which kind of job. A name is permanent: `vertical.verb_noun`; a renamed kind keeps its old name as an alias."""

SCHEDULES: tuple[Schedule, ...] = (
    *reconciliation_jobs.SCHEDULES,
    *expiring.SCHEDULES,
    *reminding.SCHEDULES,
    *figures.SCHEDULES,
    *bookings.SCHEDULES,
    *schedule_jobs.SCHEDULES,
    *rules_jobs.SCHEDULES,
    *alert_jobs.SCHEDULES,
)
"""What is done at which times, for every tenant or for the installation."""

APIS = (
    "bursar.money.catalog.api",
    "bursar.money.customers.api",
    "bursar.money.payments.api",
    "bursar.money.paying.api",
    "bursar.money.paying.methods_api",
    "bursar.money.refunding.api",
    "bursar.money.disputing.api",
    "bursar.money.checkouts.api",
    "bursar.money.storefront.api",
    "bursar.money.subscriptions.api",
    "bursar.money.changing.api",
    "bursar.money.portal.api",
    "bursar.money.fulfilment.api",
    "bursar.money.fulfilment.licence_api",
    "bursar.money.desk.api",
    "bursar.money.desk.deleting_api",
    "bursar.money.desk.persons_api",
    "bursar.money.ledger.api",
    "bursar.money.reports.api",
    "bursar.apps.booking.schedule.places_api",
    "bursar.apps.booking.schedule.api",
    "bursar.apps.booking.people.api",
    "bursar.apps.booking.policies.api",
    "bursar.apps.booking.coupons.api",
    "bursar.apps.booking.rules.api",
    "bursar.apps.booking.bookings.api",
    "bursar.apps.booking.bookings.desk_api",
    "bursar.apps.booking.fees.api",
    "bursar.apps.booking.packs.api",
    "bursar.apps.booking.packs.transfers_api",
    "bursar.kernel.zones.api",
    "bursar.money.intake.events_api",
    "bursar.money.intake.api",
    "bursar.money.calls.api",
    "bursar.money.sagas.api",
    "bursar.money.reconciliation.api",
    "bursar.money.trail.api",
    "bursar.kernel.jobs.api",
    "bursar.alerts.api",
    "bursar.kernel.access.api",
    "bursar.kernel.identity.users_api",
    "bursar.kernel.identity.sessions_api",
    "bursar.kernel.access.roles_api",
    "bursar.kernel.oidc.api",
    "bursar.kernel.rate_limits.api",
    "bursar.kernel.retentions.api",
    "bursar.kernel.circuits.api",
    "bursar.apps.booking.live.api",
    "bursar.apps.booking.services.api",
    "bursar.apps.booking.services.appointments_api",
)
"""Verticals with routes, in the order in which the documentation shows them."""


def composers(settings: Settings) -> dict[str, Composer]:
    """Return who writes which kind of letter to customers."""
    return (
        {
            paying.CONFIRMATION_LETTER: paying.confirmation_letters(Seal(settings.secret_key)),
            people.LETTER: people.sign_in_letters(
                secret_key=settings.secret_key, base_url=settings.public_url, clock=utc_now
            ),
        }
        | bookings.booking_letters(base_url=settings.public_url)
        | fees.fee_letters(base_url=settings.public_url)
    )


def registry() -> Registry:
    """Return the fulfillers of this installation, by kind of grant."""
    return Registry(fulfiller() for fulfiller in FULFILLERS)


def kinds() -> Kinds:
    """Return the kinds of jobs that this installation knows."""
    return Kinds(JOBS)


def routers() -> "list[APIRouter]":
    """Return the API's routers. Imported only here, because a worker needs none of them."""
    return [import_module(name).router for name in APIS]
