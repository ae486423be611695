"""Models opened once for all tests of the service, and one server for those that only ask it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import bcpnet
from bcpnet.segmenter import Segmenter

if TYPE_CHECKING:  # needs the extra [serve], without which the tests are skipped
    from service_here import Server

    from bcpnet.serving.models import Models


@pytest.fixture(scope="session")
def models() -> Models:
    """See `small_models`."""
    from service_here import small_models

    return small_models()


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    """What the service should agree with."""
    from service_here import SIZE_HW

    return bcpnet.load("camvid", size_hw=SIZE_HW, threads=1)


@pytest.fixture
def client(models: Models) -> Any:
    """Of a service with the bounds and the access that it has by default."""
    from service_here import client_of, new_service

    return client_of(new_service(models))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers with a thread each."""
    from service_here import running

    with running(tmp_path_factory.mktemp("server"), "--workers", "2", "--threads", "2") as server:
        yield server
