"""structlog, configured once per process."""

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

from shared.settings import LogSettings


class _StandardError(io.TextIOBase):
    """Standard error whose failures stop nobody: it may be a file on the disk that is full."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(settings: LogSettings) -> None:
    """Route everything, the libraries' records too, through one processor chain to standard error."""
    as_text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, settings.level.upper())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if as_text
        else structlog.processors.JSONRenderer()
    )
    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared_steps, structlog.processors.format_exc_info, renderer] if not as_text else [*shared_steps, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared_steps, processor=renderer))
    # Libraries speak only when something is wrong: their routine lines are not ours to promise.
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
