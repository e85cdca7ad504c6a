from pathlib import Path

import pytest

from shared.settings import NatsSettings
from tests.metricstore.local_store import LocalStore
from tests.metricstore.site import NOVA, add, cluster_text


@pytest.fixture
async def nova(nats_settings: NatsSettings) -> NatsSettings:
    await add(nats_settings, cluster_text("nova", NOVA))
    return nats_settings


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "samples")
