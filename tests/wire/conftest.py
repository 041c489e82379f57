"""One setting for all: a busy machine is no failure, so no example has a deadline."""

from hypothesis import settings

settings.register_profile("channeld", deadline=None)
settings.load_profile("channeld")
