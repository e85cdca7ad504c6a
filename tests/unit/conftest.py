"""Property tests have no deadline for one example: the machine may be busy with other tests."""

from hypothesis import settings

settings.register_profile("busy-machine", deadline=None)
settings.load_profile("busy-machine")
