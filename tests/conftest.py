"""All fixtures stand in ``tests.support.fixtures``."""

import os

# Images set it; without files of byte code, each of the hundreds of processes started here would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

pytest_plugins = ["tests.support.fixtures"]
