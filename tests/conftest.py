"""All fixtures are in ``tests.support.fixtures``."""

import os

from hypothesis import settings

# Images set it, but without byte code files each of the hundreds of processes started here would compile all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

pytest_plugins = ["tests.support.fixtures"]

# Property tests have no deadline per example, because the machine may be busy with other tests.
settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")
