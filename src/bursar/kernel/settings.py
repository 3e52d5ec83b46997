"""Settings: read once at the edge from the environment (`BURSAR_…`), passed in everywhere else."""

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting of an installation, with its default. The reference page is generated from this class."""

    model_config = SettingsConfigDict(env_prefix="BURSAR_", extra="ignore")

    data: Path = Field(
        default=Path("data"), description="Directory of the embedded instance; unused when database_url is set."
    )
    database_url: str = Field(
        default="", description="PostgreSQL 15+ of your own. Empty: the embedded server under `data`."
    )
    database_direct_url: str = Field(
        default="", description="The same database past any pooler, for workers. Empty: database_url."
    )
    database_admin_url: str = Field(
        default="", description="A role that may create roles and tables, for `bursar migrate`. Empty: database_url."
    )
    postgres_bin: str = Field(
        default="", description="PostgreSQL's own programs for the embedded server. Empty: those of the wheel."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8420, description="Port the API listens on.")
    public_url: str = Field(default="", description="Base of the addresses shown to gateways. Empty: http://host:port.")
    trusted_proxies: str = Field(
        default="",
        description="Networks of the proxies in front of the API (CIDR, with commas): only they may say who the client is.",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for", description="The one header in which those proxies say it."
    )
    second_factor: Literal["optional", "required"] = Field(
        default="optional",
        description="Whether people need a second factor beside their password. Required: without one they see their account, to set it up, and nothing else.",
    )
    watcher_networks: str = Field(
        default="",
        description="Networks that may ask /metrics and /health (CIDR, with commas); to others there is nothing. Empty: everybody may.",
    )
    mail_url: str = Field(
        default="",
        description="Mail server: smtp://user:password@host:587 (STARTTLS), smtps://…:465. Empty: mails become files in `data`/outbox.",
    )
    mail_from: str = Field(default="bursar@localhost", description="Sender of mails.")
    issuer_networks: str = Field(
        default="",
        description="Networks that are not public in which identity providers may be (CIDR, with commas).",
    )
    alert_urls: str = Field(
        default="",
        description="Where the installation's own alerts go, those of an unreachable database among them: addresses with spaces between, tried in their order until one takes the notice. mailto:ops@example.org, https://… (JSON is posted), or any of apprise's (slack://, pagerduty://, twilio://).",
    )
    alert_networks: str = Field(
        default="",
        description="Networks that are not public in which webhooks of alerts may be (CIDR, with commas).",
    )
    alert_cool_down_s: int = Field(
        default=3600,
        ge=60,
        le=604_800,
        description="How long an alert that goes on is not told again, in seconds.",
    )
    alert_days: int = Field(
        default=365, ge=1, le=3650, description="How long resolved alerts are kept, with their history, in days."
    )
    secret_key: str = Field(
        default="",
        description="32 bytes, base64url: encrypts gateway and users' secrets, signs forms of pages. Empty: made and kept under `data`.",
    )
    workers: int = Field(default=1, ge=1, le=64, description="Worker processes that `bursar up` starts.")
    pool_size: int = Field(default=10, ge=2, le=200, description="Database connections of one API process.")
    body_bytes_max: int = Field(default=1_048_576, description="Largest webhook body accepted, in bytes.")
    body_timeout_s: float = Field(default=10.0, description="Longest wait for a webhook body, in seconds.")
    signature_tolerance_s: int = Field(
        default=300, description="How far a signed timestamp may be from our clock, either way, in seconds."
    )
    intake_waiting_max: int = Field(default=4096, description="Deliveries waiting for a commit before 503 is answered.")
    retries_max: int = Field(default=8, description="Attempts at an event before it rests as dead.")
    unmatched_grace_s: int = Field(
        default=900,
        description="How long unmatched money may wait for the missing report before it alarms, in seconds.",
    )
    grace_days: int = Field(
        default=7, description="How long entitlements outlive the start of an unpaid period, in days."
    )
    dispute_due_soon_days: int = Field(
        default=3, ge=1, le=30, description="How long before its last day an unanswered dispute alarms, in days."
    )
    otlp_endpoint: str = Field(
        default="",
        description="Base address of an OpenTelemetry collector (OTLP over HTTP) for traces. Empty: none are made.",
    )
    sentry_dsn: str = Field(
        default="", description="Where to report unforeseen errors (Sentry's protocol). Empty: nowhere."
    )
    idempotency_s: int = Field(
        default=86_400,
        ge=60,
        le=2_592_000,
        description="How long the answer to an Idempotency-Key is kept, in seconds.",
    )
    idempotency_payment_s: int = Field(
        default=86_400, ge=60, le=2_592_000, description="The same for payments and refunds."
    )
    outcome_wait_s: float = Field(
        default=10,
        ge=0,
        le=60,
        description="How long a request that asks a gateway for something waits for its answer.",
    )
    idempotency_checkout_s: int = Field(default=1800, ge=60, le=2_592_000, description="The same for checkouts.")
    idempotency_subscription_change_s: int = Field(
        default=3600, ge=60, le=2_592_000, description="The same for changes of subscriptions."
    )
    rate_limit_url: str = Field(
        default="",
        description="Redis or Valkey that counts requests for all API processes: redis://… or valkey://…. Empty: each counts its own.",
    )
    rate_general: int = Field(default=100, ge=1, description="Requests of one user within a minute.")
    rate_checkout: int = Field(default=5, ge=1, description="The same for checkouts.")
    rate_subscription_read: int = Field(default=30, ge=1, description="The same for reading subscriptions.")
    rate_subscription_change: int = Field(default=3, ge=1, description="The same for changing subscriptions.")
    rate_key_general: int = Field(default=30_000, ge=1, description="Requests with one API key within a minute.")
    rate_key_checkout: int = Field(default=500, ge=1, description="The same for checkouts.")
    rate_key_subscription_read: int = Field(default=15_000, ge=1, description="The same for reading subscriptions.")
    rate_key_subscription_change: int = Field(default=300, ge=1, description="The same for changing subscriptions.")
    rate_tenant_max: int = Field(
        default=60_000, ge=1, le=1_000_000, description="The most that a tenant may set its own limits to, a minute."
    )
    rate_stranger: int = Field(
        default=100, ge=1, description="Refused credentials from one address within a minute, before it must wait."
    )
    rate_sign_in: int = Field(default=30, ge=1, description="Attempts to sign in from one address within a minute.")
    rate_webhook: int = Field(
        default=100, ge=1, description="Refused deliveries from one address to one account within a minute."
    )
    security_event_days: int = Field(
        default=90, ge=1, le=3650, description="How long counts of security events are kept, in days."
    )
    slow_statement_ms: int = Field(
        default=500, ge=0, description="From how many milliseconds on a statement is noted as slow. 0: none is."
    )
    slow_plan_ms: int = Field(default=2000, ge=0, description="From how many on its plan is asked for too, once a day.")
    slow_statement_days: int = Field(
        default=14, ge=1, le=365, description="How long slow statements are kept, in days."
    )
    job_days: int = Field(
        default=90,
        ge=8,
        le=3650,
        description="How long jobs that were given up rest, and how long it is counted how jobs ended, in days.",
    )
    body_months: int = Field(
        default=0,
        ge=0,
        le=1200,
        description="How many whole months the raw bodies of deliveries are kept beside the current one; what they meant stays. Less than 13 keeps less than gateways may dispute. 0: for ever.",
    )
    backup_store: str = Field(
        default="",
        description="Where backups go: a directory, on another machine's disk at best, or s3://bucket/prefix. Empty: none are made.",
    )
    backup_s3_endpoint: str = Field(
        default="", description="Base address of a service that speaks S3. Empty: Amazon's own of that region."
    )
    backup_s3_region: str = Field(
        default="", description="Region of the bucket. Empty: AWS_REGION, or what the service has."
    )
    backup_s3_access_key: str = Field(
        default="", description="Name of the key that may write there. Empty: as AWS_… or the machine says."
    )
    backup_s3_secret_key: str = Field(default="", description="The key's secret.")
    backup_key_file: str = Field(
        default="",
        description="The keys that seal backups, made by `bursar backup key`. Never in the store. Empty: backup.keys under `data`.",
    )
    backup_logical: bool = Field(
        default=False,
        description="Make logical backups (pg_dump) also where base backups could be had. Else only where BURSAR_DATABASE_ADMIN_URL is no superuser.",
    )
    backup_database_url: str = Field(
        default="",
        description="The login that makes logical backups: it must read every row (bypassrls, pg_read_all_data). Empty: BURSAR_DATABASE_ADMIN_URL.",
    )
    backup_mark_s: float = Field(
        default=2.0,
        ge=0.5,
        le=60,
        description="How often a mark is written and the log up to it brought to the store: about what a disaster may cost, in seconds.",
    )
    backup_spool: str = Field(
        default="",
        description="Directory into which the log is received before it is sealed and stored. On another disk it survives the data directory, and `bursar restore` reads its end. Empty: under `data`.",
    )
    backup_synchronous: bool = Field(
        default=False,
        description="Acknowledge nothing before its log is in BURSAR_BACKUP_SPOOL, so that the end of the data directory costs nothing. While no log is received, nothing is committed.",
    )
    backup_full_hours: int = Field(default=24, ge=1, le=744, description="How often a full backup is taken.")
    backup_incremental_minutes: int = Field(
        default=60,
        ge=0,
        le=44_640,
        description="How often an incremental one is taken between them (PostgreSQL 17+). 0: never.",
    )
    backup_keep_hours: int = Field(
        default=168, ge=1, description="How long every backup is kept, and the log that leads to any moment since."
    )
    backup_keep_days: int = Field(default=14, ge=0, description="Then the newest full backup of each of so many days.")
    backup_keep_weeks: int = Field(default=8, ge=0, description="And of so many weeks.")
    backup_keep_months: int = Field(default=12, ge=0, description="And of so many months.")
    drill_hours: int = Field(
        default=24,
        ge=0,
        le=744,
        description="How often the newest backup is restored into a scratch server and looked at. 0: never.",
    )
    drill_rpo_s: float = Field(
        default=10.0, gt=0, description="The most that a disaster may cost, by a drill, in seconds of changes."
    )
    drill_rto_s: float = Field(
        default=0.0,
        ge=0,
        description="The longest that a restore may take, by a drill, in seconds. 0: 10, and 10 for each GB of the database.",
    )
    production: bool = Field(default=False, description="Refuses the sandbox gateway and the demo.")

    @property
    def is_https(self) -> bool:
        """True where callers come by https, whatever a proxy in front of us speaks with us."""
        return self.public_url.startswith("https://")

    @field_validator("public_url")
    @classmethod
    def _has_no_last_slash(cls, text: str) -> str:
        return text.rstrip("/")  # paths are put behind it

    @field_validator("trusted_proxies", "issuer_networks", "watcher_networks", "alert_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for part in text.split(","):
            if part.strip():
                ip_network(part.strip())  # its ValueError says what is wrong
        return text
