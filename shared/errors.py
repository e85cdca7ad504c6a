"""The errors that jobtide raises on purpose, grouped by what the caller must do."""


class JobtideError(Exception):
    """Base of everything raised on purpose; its text is fit to be shown to a person."""


class Refused(JobtideError):
    """The input can never become an event: record it, do not retry.

    ``code`` is one of ``shared.domain.reasons``; ``field`` names the offending field when there is one.
    """

    def __init__(self, code: str, text: str, *, field: str | None = None) -> None:
        super().__init__(text if field is None else f"{field}: {text}")
        self.code = code
        self.text = text
        self.field = field


class Unavailable(JobtideError):
    """A dependency is unavailable: keep the work and retry later."""


class StatementTimedOut(Unavailable):
    """The database ended a statement at its time limit. It may be the statement's fault: the database itself works."""


class TransactionLost(Unavailable):
    """Another transaction was in the way of one, which was rolled back. The same one may succeed at once."""


class ConsumerLost(Unavailable):
    """The durable consumer was deleted: bind again, which recreates it."""


class LogMismatch(JobtideError):
    """The event log is not the one that the database was projected from: stop, a person must decide."""


class UserError(JobtideError):
    """A mistake of the person at the command line or in the settings; one clear line, exit code 2."""


class CannotListen(UserError):
    """An address to listen on is in use or not local."""
