"""The commands there are, in the order in which help shows them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """module: where it is, below `bursar.cli`. purpose: one line for the overview."""

    module: str
    purpose: str


COMMANDS = {
    "up": Command("instance", "run everything on this machine: database, API, workers, demo"),
    "migrate": Command("schema", "bring the database to this version's schema"),
    "serve": Command("server", "run one API process"),
    "worker": Command("workers", "run one worker process"),
    "tenant": Command("tenants", "add and list tenants, export and import one"),
    "key": Command("keys", "add, list, rotate and revoke API keys"),
    "issuer": Command("issuers", "add, list and remove the identity providers whose tokens are accepted"),
    "user": Command("users", "invite people of a business, give them roles, let them in again"),
    "operator": Command("operators", "add and list the people who run the installation"),
    "backup": Command("backups", "back up: now, list, verify, prune, and the key that seals"),
    "restore": Command("restore", "restore a backup into a new directory, to a point in time or the end"),
    "diff": Command("diff", "compare a backup with the database: what did that DELETE take?"),
    "drill": Command(
        "drill", "restore the newest backup into a scratch server, look at it, and say what a disaster would cost"
    ),
    "customer": Command("customers", "export everything about a person, erase a person"),
    "gateway": Command("gateways", "add and list gateway accounts, rotate their secrets, fetch an object"),
    "reports": Command("reports", "make the sums that reports read again from the payments"),
    "verify": Command("verify", "check every invariant and show the rows that break one"),
    "audit": Command("audit", "prove that the audit trail is unchanged, export it with the proof"),
    "fingerprint": Command("fingerprint", "name a tenant's canonical state in one line"),
    "events": Command("events", "list gateway events, show one, replay one or many"),
    "jobs": Command("jobs", "list and count jobs, show one, replay what was given up"),
    "alerts": Command("alerts", "list alerts, acknowledge or silence one, send a test, watch the database"),
    "reconcile": Command("reconcile", "compare gateway accounts with their gateways, and repair what differs"),
    "retention": Command("retention", "show what is kept for how long, and what would go"),
    "simulate": Command("simulate", "attack an installation made for the purpose, and compare it with a calm one"),
    "demo": Command("demo", "open a demo business and let customers come in"),
    "sandbox": Command("sandbox", "run the sandbox gateway, move its clock, make it misbehave"),
    "bench": Command("bench", "measure the promises of speed"),
    "client": Command("client", "write a typed Python client of the API"),
    "doctor": Command("health", "check the installation and say what to do"),
    "test": Command("checks", "run every check of the source tree"),
}
