"""Collects the health reports that the processes of the services publish on the broker."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from shared.broker.reports import MAX_BYTES, SILENT_AFTER_S, HealthReport, report_subject
from shared.settings import NatsSettings

SERVICES = ("ingest", "jobstore", "archiver", "gateway")  # what every site needs; others are known from their reports
MAX_PROCESSES = 500
FORGOTTEN_AFTER_S = 600.0

ServiceWord = Literal["ready", "unready", "silent", "unheard"]


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A process of a service, or a service without any (``process`` is empty).

    ``unready``: a check fails or a loop is overdue. ``silent``: it reported and stopped to. ``unheard``: no report since the gateway
    listens, which is a problem only if it listened long enough (``is_certain``).
    """

    service: str
    process: str
    state: ServiceWord
    is_certain: bool = True
    age_s: float | None = None
    started: float | None = None
    problems: dict[str, str] | None = None


class ServiceReports:
    """The latest report of each process. ``clock`` is monotonic."""

    def __init__(self, nats: NatsSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._nats = nats
        self._clock = clock
        self._listening_since: float | None = None
        self._reports: dict[tuple[str, str], tuple[float, HealthReport]] = {}

    async def listen(self, client: Client) -> None:
        """The subscription lasts as long as the connection and survives reconnects. Raises errors of nats-py."""
        await client.subscribe(report_subject(self._nats, "*"), cb=self._receive)
        self.connection_changed(True)

    def connection_changed(self, is_connected: bool) -> None:
        """Without a connection nobody is heard, which says nothing about the services."""
        self._listening_since = self._clock() if is_connected else None

    async def _receive(self, message: Msg) -> None:
        if len(message.data) > MAX_BYTES:
            return
        try:
            report = HealthReport.model_validate_json(message.data)
        except ValidationError:
            return  # of another version
        if message.subject == report_subject(self._nats, report.service):  # the broker's permissions hold for the subject
            self.note(report)

    def note(self, report: HealthReport) -> None:
        key, now = (report.service, report.process), self._clock()
        if report.has_ended:
            self._reports.pop(key, None)
            return
        self._reports = {known: one for known, one in self._reports.items() if now - one[0] < FORGOTTEN_AFTER_S}
        if key in self._reports or len(self._reports) < MAX_PROCESSES:
            self._reports[key] = (now, report)

    def states(self) -> Sequence[ServiceState]:
        """Reports by service; services that every site needs come first, in the order of the data flow."""
        since, now = self._listening_since, self._clock()
        is_certain = since is not None and now - since >= SILENT_AFTER_S
        found = [self._state(one, max(0.0, now - at), is_certain) for at, one in self._reports.values() if now - at < FORGOTTEN_AFTER_S]
        heard = {state.service for state in found}
        found += [ServiceState(name, "", "unheard", is_certain) for name in SERVICES if name not in heard]
        order = {name: place for place, name in enumerate(SERVICES)}
        return sorted(found, key=lambda state: (order.get(state.service, len(order)), state.service, state.process))

    def _state(self, report: HealthReport, age_s: float, is_certain: bool) -> ServiceState:
        word: ServiceWord = "silent" if age_s >= SILENT_AFTER_S else "ready" if report.is_ready else "unready"
        return ServiceState(
            report.service,
            report.process,
            word,
            word != "silent" or is_certain,
            age_s,
            report.started,
            report.problems,
        )
