"""Fixtures that start processes or sockets, shared by the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.fleet import Fleet, Service

# how long an example takes says nothing on a busy machine
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """One proxy with many services, for all tests that need no configuration of their own."""
    fleet = Fleet()
    yield fleet
    fleet.stop()


@pytest.fixture
def upstream(fleet: Fleet) -> Iterator[Service]:
    """A service of the fleet that listens, with connections of its own; it echoes until it is given a script."""
    service = fleet.take()
    service.listen()
    yield service
    service.stop()


@pytest.fixture
def absent(fleet: Fleet) -> Iterator[Service]:
    """A service of the fleet whose endpoint refuses connections until it listens."""
    service = fleet.take()
    yield service
    service.stop()
