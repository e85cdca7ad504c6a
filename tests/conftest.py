"""All fixtures stand in ``tests.support.fixtures``."""

pytest_plugins = ["tests.support.fixtures"]
