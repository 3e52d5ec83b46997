"""A server made in an empty directory for one purpose: it stays when that succeeds, and nothing stays when it fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bursar.kernel.postgres.cluster import Cluster
from bursar.kernel.postgres.recovering import Recovery


@contextmanager
def new_cluster(directory: Path, *, bin_dir: Path | None = None) -> Iterator[Cluster]:
    """Make a server in an empty or new directory and let it run for as long as the block lasts.

    Raises: DirectoryTaken, and what `Cluster.start` raises.
    """
    directory = directory.absolute()
    Recovery(directory).refuse_taken()
    was_there = directory.exists()
    cluster = Cluster(directory, bin_dir=bin_dir)
    try:
        cluster.start()
        yield cluster
    except BaseException:
        cluster.stop("immediate")
        Recovery.clear(directory)
        if was_there:
            directory.mkdir()
        raise
    cluster.stop()
