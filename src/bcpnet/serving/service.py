"""What all endpoints of one worker share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import HTTPConnection

from bcpnet.serving.bounds import Bodies, Bounds
from bcpnet.serving.jobs import Jobs
from bcpnet.serving.metrics import Metrics
from bcpnet.serving.models import Models


@dataclass(frozen=True)
class Access:
    """Who may use the service.

    Attributes:
        token: what clients must show ("Authorization: Bearer TOKEN"); None = nothing.
        origins: web pages of other origins that may use it ("https://example.com"), beside its own.
        page: folder of the page served at "/"; None = the one that is installed, if there is one.
    """

    token: str | None = None
    origins: tuple[str, ...] = ()
    page: Path | None = None


@dataclass
class Service:
    """One worker's models, threads, counts and bounds.

    Attributes:
        connections: how many are open; the server's own set, once it runs.
    """

    models: Models
    jobs: Jobs
    metrics: Metrics
    bounds: Bounds
    access: Access
    connections: set[object] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Counts the bytes of bodies."""
        self.bodies = Bodies(self.bounds.bodies_mib << 20)

    def tell_gauges(self) -> None:
        """Notes how many wait, run and are connected now. To be called now and then: other workers show it."""
        self.metrics.now(self.jobs.waiting, self.jobs.running, len(self.connections), self.bodies.held)


def service_of(connection: HTTPConnection) -> Service:
    """The service that a request, or a stream, came to."""
    service: Service = connection.app.state.service
    return service
