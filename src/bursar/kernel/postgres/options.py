"""The server's settings, with the reason for each that is not PostgreSQL's own."""

from collections.abc import Mapping

INITDB = (
    "--encoding=UTF8",
    "--locale=C.UTF-8",  # sorts by code point: the same on every machine, and indexes survive a new libc
    "--auth=scram-sha-256",
    "--data-checksums",
)

ACCESS = """\
# Written when the cluster was made. Connections of this machine only, always with a password.
host all         all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_compression": "off",
    # Checkpoints follow the clock, not the volume: each one makes every page be written whole once more.
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # statements here are short; compiling them is not
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "log_lock_waits": "on",
    "log_min_duration_statement": "1s",
    "log_parameter_max_length": "0",  # parameters are customers' data; the log is not the place for it
    "log_parameter_max_length_on_error": "0",
    "lc_messages": "C",  # the launcher reads them
}

_HASTY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests only: nothing survives a power cut."""


def options_for(*, durable: bool, extra: Mapping[str, str]) -> list[str]:
    """Return the server's command-line arguments."""
    chosen = {**_OPTIONS, **({} if durable else _HASTY), **extra}
    return [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
