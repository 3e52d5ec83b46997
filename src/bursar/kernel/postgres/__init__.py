"""A real PostgreSQL server of our own, started from a directory of binaries.

It is not a pool and knows no schema: it gives addresses that asyncpg, psql or pg_dump can use.

Invariants:
- the server never runs as root, and no user is added and no directory of others changed to achieve that;
- it listens on 127.0.0.1 only, and every connection needs a password;
- an acknowledged commit survives SIGKILL of every process, in any order;
- a directory made by another major version is refused, not touched.
"""

from bursar.kernel.postgres.binaries import Binaries, BinariesMissing, wheel_bin
from bursar.kernel.postgres.cluster import Cluster, DataMissing, ServerFailed, VersionDiffers
from bursar.kernel.postgres.making import new_cluster
from bursar.kernel.postgres.place import NoPlace
from bursar.kernel.postgres.recovering import DirectoryTaken, Recovery
from bursar.kernel.postgres.state import APP_ROLE
from bursar.kernel.postgres.tools import Tools

__all__ = [
    "APP_ROLE",
    "Binaries",
    "BinariesMissing",
    "Cluster",
    "DataMissing",
    "DirectoryTaken",
    "NoPlace",
    "Recovery",
    "ServerFailed",
    "Tools",
    "VersionDiffers",
    "new_cluster",
    "wheel_bin",
]
