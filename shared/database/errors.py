"""What errors of the drivers mean."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.errors import Unavailable


@contextmanager
def away_as_unavailable() -> Iterator[None]:
    """Raises Unavailable when the database is away, busy for too long, or has no room."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError, TimeoutError) as e:
        raise Unavailable(_told(e)) from e
    except DBAPIError as e:
        if e.connection_invalidated or _is_temporary(e):
            raise Unavailable(_told(e)) from e
        raise


def _told(error: Exception) -> str:
    """Its first line; a deadline that passed has none."""
    text = str(error).strip().partition("\n")[0][:300]
    return f"database: {type(error).__name__}" + (f": {text}" if text else "")


def _is_temporary(error: DBAPIError) -> bool:
    """Server shutting down, out of resources, or a transaction that lost a race: PostgreSQL classes 08, 40, 53, 55, 57."""
    state = getattr(error.orig, "sqlstate", None) or getattr(getattr(error.orig, "__cause__", None), "sqlstate", None)
    return isinstance(state, str) and state[:2] in {"08", "40", "53", "55", "57"}
