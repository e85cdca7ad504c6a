"""structlog, configured once per process."""

import io
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from shared.printing import printable
from shared.settings import LogSettings


class _Sink:
    """A stream whose write errors are ignored, because it may be a file on a full disk.

    Not derived from a class of ``io``, whose finalizer flushes while the interpreter is already unloading modules.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


OnProblem = Callable[[str, Mapping[str, Any]], None]
_PROBLEMS = frozenset({"warning", "error", "critical", "exception"})


def configure(settings: LogSettings, *, stream: TextIO | None = None, on_problem: OnProblem | None = None) -> None:
    """Route everything, including the libraries' records, through one processor chain to ``stream``, by default standard error.

    The stream is fixed now: replacing ``sys.stderr`` later does not move the log. ``on_problem`` is called with the level and
    the facts of each warning and error that is written.
    """
    stream = sys.stderr if stream is None else stream
    sink = cast("TextIO", _Sink(stream))
    as_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    level = getattr(logging, settings.level.upper())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_escaped_traceback)
        if as_text
        else structlog.processors.JSONRenderer()
    )
    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if on_problem is not None:
        shared_steps.append(_reporting(on_problem))
    if as_text:
        shared_steps.append(_escaped)
    structlog.configure(
        processors=[*shared_steps, structlog.processors.format_exc_info, renderer] if not as_text else [*shared_steps, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sink),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sink)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared_steps, processor=renderer))
    # Libraries speak only when something is wrong: their routine lines are not ours to promise.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _escaped(_: Any, __: str, facts: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Text of users must not control the terminal, nor look like another line. Other values are printed by ``repr``."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in facts.items()}


def _escaped_traceback(sink: TextIO, error: structlog.typing.ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    sink.write("\n".join(f"  {printable(line)}" for line in text.getvalue().split("\n")))  # indented: a message may have lines


def _reporting(on_problem: OnProblem) -> structlog.typing.Processor:
    def report(_: Any, __: str, facts: structlog.typing.EventDict) -> structlog.typing.EventDict:
        if facts.get("level") in _PROBLEMS:
            on_problem(str(facts["level"]), facts)
        return facts

    return report
