"""The state that a jobtide metric store reports, for the state of the site. Stores of other kinds report none."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.metricdata.http import Credentials, HttpLimits, Request, StoreClient
from shared.metricdata.settings import MetricsSettings
from shared.metricdata.source import SourceUnavailable

STATE_PATH = "/api/status/"
_HAS_NONE = 404  # another kind of store


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


class ClusterSamples(_Part):
    """Times in Unix seconds; null without samples."""

    oldest: int | None = Field(None, description="Begin of the oldest hour with samples.")
    newest: int | None = Field(None, description="Time of the newest sample.")


class StoreState(_Part):
    """Counts begin with the start of the metric store."""

    stream: str = Field(description="The stream that it reads.")
    position: int = Field(description="Last sequence that it has read.")
    lag: int | None = Field(description="Messages that it has not read; null if the broker is unavailable.")
    samples: int
    samples_per_s: float = Field(description="Over the last minute.")
    refused: dict[str, int] = Field({}, description="Lines that were not stored, by reason.")
    expired: int = Field(description="Messages that left the stream unread.")
    series: int
    memory_bytes: int
    files: int
    file_bytes: int
    clusters: dict[str, ClusterSamples] = {}


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """``state`` is None when the store did not answer; ``error`` says why."""

    address: str
    state: StoreState | None
    error: str = ""


async def store_states(settings: MetricsSettings, *, timeout_s: float) -> Sequence[StoreAnswer]:
    """One for each metric store of jobtide, and for each store that does not answer."""
    addresses = [url for url in dict.fromkeys([settings.url, *settings.cluster_urls.values()]) if url]
    if settings.kind == "none" or not addresses:
        return []
    authorization = f"Bearer {settings.token.get_secret_value()}" if settings.token is not None else ""
    limits = HttpLimits(timeout_s=timeout_s, tries=1, requests=settings.requests, max_answer_mb=1)
    async with StoreClient(limits, Credentials(authorization)) as client:
        answers = [await _ask(client, address) for address in addresses]
    return [answer for answer in answers if answer is not None]


async def _ask(client: StoreClient, address: str) -> StoreAnswer | None:
    try:
        answer = await client.send_once(Request(address.rstrip("/") + STATE_PATH, accepted=frozenset({200, _HAS_NONE})))
        return None if answer.status == _HAS_NONE else StoreAnswer(address, StoreState.model_validate_json(answer.body))
    except SourceUnavailable as e:
        return StoreAnswer(address, None, str(e))
    except ValidationError:
        return None  # something else answers at this path
