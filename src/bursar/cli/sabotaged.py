"""A worker that is broken on purpose: `python -m bursar.cli.sabotaged NAME`, for the controls of `bursar simulate`."""

import sys

import uvloop

from bursar.cli.connection import of_external, settings_for
from bursar.cli.lifetime import follow_supervisor
from bursar.operations.simulate.sabotage import sabotage
from bursar.worker import run


def main(name: str) -> None:
    """Break this process, then work."""
    follow_supervisor()
    sabotage(name)
    uvloop.run(run(of_external(settings_for())))


if __name__ == "__main__":
    main(sys.argv[1])
