"""Translation of driver errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.errors import Unavailable


@contextmanager
def away_as_unavailable() -> Iterator[None]:
    """Raises Unavailable when the database is unreachable, busy for too long, or out of space."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError, TimeoutError) as e:
        raise Unavailable(_told(e)) from e
    except Exception as e:
        if _is_away(e):
            raise Unavailable(_told(e)) from e
        raise


def _told(error: Exception) -> str:
    """Its first line; empty for an expired deadline."""
    text = str(error).strip().partition("\n")[0][:300]
    return f"database: {type(error).__name__}" + (f": {text}" if text else "")


def _is_away(error: Exception) -> bool:
    """Server shutting down, out of resources, or a transaction that lost a race: PostgreSQL classes 08, 40, 53, 55, 57.

    Also refused connections, 28 (wrong password) and 3D (no such database), which the driver raises outside SQLAlchemy.
    """
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        state = getattr(error.orig, "sqlstate", None) or getattr(getattr(error.orig, "__cause__", None), "sqlstate", None)
    else:
        state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state[:2] in {"08", "28", "3D", "40", "53", "55", "57"}
