"""Text from users in the log: it cannot control a terminal or imitate another line."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from shared.log import configure
from shared.settings import LogSettings

HOSTILE = ["\x1b[2J\x1b]0;title\x07", "a\nERROR forged", "\x9b31m", "a\rb", "\x00", "\u202eevil", "\u2028next", "\x7f"]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.configure(**before)
    logging.root.handlers[:], logging.root.level = handlers, level


def logged(text: str, kind: str) -> str:
    """The log output when ``text`` is logged in one of the ways."""
    stream = io.StringIO()
    configure(LogSettings(format="text"), stream=stream)
    log = structlog.get_logger().bind()
    match kind:
        case "fact":
            log.warning("signed_in", user=text)
        case "event":
            log.warning(text)
        case "inside":
            log.warning("signed_in", users=[text], by={text: text})
        case "library":
            logging.getLogger("somebody").warning("user %s", text)
        case "traceback":
            try:
                raise ValueError(text)
            except ValueError:
                log.exception("failed")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["fact", "event", "inside", "library", "traceback"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_escape_sequences_are_escaped_in_text_logs(text: str, kind: str) -> None:
    written = logged(text, kind)
    first, *others = written.rstrip("\n").split("\n")
    assert all(line.isprintable() for line in (first, *others)), written
    assert all(line.startswith("  ") for line in others)
    assert bool(others) == (kind == "traceback")


def test_ordinary_text_is_not_changed() -> None:
    assert "J\u00fcrgen" in logged("J\u00fcrgen", "fact")


def test_json_logs_escape_by_themselves() -> None:
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream=stream)
    structlog.get_logger().bind().warning("signed_in", user=HOSTILE[0])
    assert json.loads(stream.getvalue())["user"] == HOSTILE[0]
    assert "\x1b" not in stream.getvalue()
