"""A service of an embedded site in a process of its own: what it writes, and how it ends."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from cli.embedded.child import MAX_LINE_BYTES, MAX_LOGGED, ChildEnded, Output, ServiceProcess
from services.metricstore.settings import Settings
from shared.errors import UserError
from shared.locking import exclusive
from shared.settings import NatsSettings
from tests.metricstore.site import QUICK


def written(*lines: bytes) -> asyncio.StreamReader:
    stream = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    for line in lines:
        stream.feed_data(line + b"\n")
    stream.feed_eof()
    return stream


async def test_lines_of_a_process_that_are_not_json_are_logged() -> None:
    output = Output("metricstore")
    stream = written(
        b'{"event": "begun", "level": "info", "timestamp": "now", "path": "x"}',
        b"x" * (3 * MAX_LINE_BYTES),
        b"Traceback:",
        b'["a list"]',
        b"",
        b"y" * 5000,
        b'{"event": "odd", "level": ["error"]}',
    )
    with capture_logs() as logged:
        await output.log(stream)
    assert logged[0] == {"event": "begun", "log_level": "info", "service": "metricstore", "path": "x"}
    texts = [line["text"] for line in logged if line["event"] == "child_output"]
    assert texts[-3:] == ["Traceback:", '["a list"]', "y" * MAX_LOGGED]
    assert logged[-1] == {"event": "odd", "log_level": "warning", "service": "metricstore"}
    assert output.reason == "y" * MAX_LOGGED


async def test_the_reason_why_a_process_ended_is_the_line_with_its_name() -> None:
    output = Output("metricstore")
    await output.log(written(b"Traceback:", b"metricstore: no room", b"Exception ignored"))
    assert output.reason == "metricstore: no room"


async def test_addresses_are_reported_whatever_else_a_process_prints() -> None:
    reported: list[dict[str, Any]] = []
    await Output("metricstore").report(
        written(b"a library greets", b'{"http": "127.0.0.1:1"}'), lambda service, **addresses: reported.append({service: addresses})
    )
    assert reported == [{"metricstore": {"http": "127.0.0.1:1"}}]


async def test_a_wrong_setting_is_fatal_only_before_a_process_was_up(
    nats_settings: NatsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder in use stands for anything that another program may take while a killed process is restarted."""
    monkeypatch.setenv("JOBTIDE_LOG_FORMAT", "text")
    settings = Settings(nats_settings, QUICK.model_copy(update={"path": tmp_path}))

    def kill_it(service: str, **addresses: str) -> None:
        assert (service, bool(addresses["http"])) == ("metricstore", True)
        (child,) = [one for one in psutil.Process().children() if one.cmdline()[1:4] == ["-m", "cli.embedded.child", "metricstore"]]
        child.kill()

    used = exclusive(tmp_path / "lock")
    store = ServiceProcess("metricstore")
    with capture_logs() as logged, pytest.raises(ChildEnded):
        await store.run(settings, asyncio.Event(), kill_it)
    assert "reading_metrics" in [line["event"] for line in logged]
    with used:
        with pytest.raises(ChildEnded, match=r"^metricstore: another metric store uses"):
            await store.run(settings, asyncio.Event(), kill_it)
        with pytest.raises(UserError, match=r"^metricstore: another metric store uses"):
            await ServiceProcess("metricstore").run(settings, asyncio.Event(), kill_it)
