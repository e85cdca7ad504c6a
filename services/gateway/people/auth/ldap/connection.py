"""Blocking LDAP calls: one connection per call, used by one thread."""

import contextlib
import math
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ldap3
from ldap3.core import results
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.utils.conv import escape_filter_chars

from services.gateway.people.auth.ldap.settings import NAME_PLACE, LdapSettings
from shared.errors import Unavailable

MAX_ENTRIES = 1_000_000
# Result codes for a wrong password, an unknown name, or a locked account.
_REFUSALS = frozenset(
    {
        results.RESULT_INVALID_CREDENTIALS,
        results.RESULT_NO_SUCH_OBJECT,
        results.RESULT_INVALID_DN_SYNTAX,
        results.RESULT_INAPPROPRIATE_AUTHENTICATION,
        results.RESULT_CONSTRAINT_VIOLATION,
        results.RESULT_INSUFFICIENT_ACCESS_RIGHTS,
        results.RESULT_UNWILLING_TO_PERFORM,
    }
)
_RDN_SPECIAL = frozenset('"+,;<>\\=#/ ')


@dataclass(frozen=True, slots=True)
class Person:
    """An entry of the directory."""

    dn: str
    uid: str
    name: str


@dataclass(frozen=True, slots=True)
class People:
    """``skipped`` are DNs of entries without a usable login name. Not ``is_complete``: the server omitted entries."""

    found: list[Person]
    skipped: list[str]
    is_complete: bool


class LdapConnection:
    """Opened on entry. Every method raises Unavailable; its text names the failing step, without internals of the site."""

    def __init__(self, settings: LdapSettings, timeout_s: float) -> None:
        self._settings = settings
        host, port, is_tls = settings.address
        # ldap3 passes the timeout to the kernel in whole seconds.
        seconds = max(1, math.ceil(timeout_s))
        tls = _CheckedTls(host, str(settings.ca_file) if settings.ca_file else None)
        server = ldap3.Server(host, port, use_ssl=is_tls, tls=tls, get_info=ldap3.NONE, connect_timeout=seconds)
        self._connection = ldap3.Connection(
            server, client_strategy=ldap3.SYNC, receive_timeout=seconds, auto_referrals=False, check_names=False, read_only=True
        )

    def __enter__(self) -> "LdapConnection":
        with _translated("cannot be reached"):
            self._connection.open(read_server_info=False)
        if self._settings.start_tls:
            with _translated("does not begin TLS"):
                self._connection.start_tls(read_server_info=False)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._connection.unbind()
        except (LDAPExceptionError, OSError):
            self.abort()

    def abort(self) -> None:
        """Make a call that waits for the server fail at once. May be called from any thread."""
        open_socket: socket.socket | None = self._connection.socket
        if open_socket is not None:
            with contextlib.suppress(OSError):  # closed already
                open_socket.shutdown(socket.SHUT_RDWR)

    def bind(self, dn: str, password: str) -> bool:
        """Whether the server accepts the password. An empty one is refused here, since servers accept it as an anonymous bind."""
        if not password or not dn:
            return False
        with _translated("does not answer to a sign-in"):
            self._connection.user, self._connection.password = dn, password.encode()
            self._connection.authentication = ldap3.SIMPLE
            if self._connection.bind(read_server_info=False):
                return True
        code = self._connection.result["result"]
        if code not in _REFUSALS:
            raise Unavailable(f"the directory cannot sign anybody in ({self._connection.result['description']})")
        return False

    def bind_to_search(self) -> None:
        if not self.bind(self._settings.search_dn, self._settings.search_password.get_secret_value()):
            raise Unavailable("the directory refuses the account that searches")

    def find(self, name: str) -> Person | None:
        """The valid user with this login name; None when there is none, or more than one."""
        wanted = f"(&{self._settings.user_filter}({self._settings.uid_attr}={escape_filter_chars(name)}))"
        entries = self._search(wanted, size_limit=2)
        if len(entries) != 1:
            return None
        person = self._person(entries[0])
        return person if person is not None and person.uid.casefold() == name.casefold() else None

    def everyone(self) -> People:
        """All valid users, page by page (RFC 2696)."""
        found, skipped, is_complete, cookie = list[Person](), list[str](), True, b""
        while True:
            with _translated("does not answer to a search"):
                self._ask(self._settings.user_filter, paged_size=self._settings.page_size, paged_cookie=cookie or None)
            result: dict[str, Any] = self._connection.result
            if result["result"] in (results.RESULT_SIZE_LIMIT_EXCEEDED, results.RESULT_TIME_LIMIT_EXCEEDED):
                is_complete = False
            elif result["result"] != results.RESULT_SUCCESS:
                raise Unavailable(f"the directory refuses the search ({result['description']})")
            for entry in self._connection.response or []:
                if entry["type"] != "searchResEntry":
                    is_complete = False  # a referral: some of the users are on another server
                elif (person := self._person(entry)) is None:
                    skipped.append(str(entry["dn"])[:200])
                else:
                    found.append(person)
            if len(found) + len(skipped) > MAX_ENTRIES:
                raise Unavailable(f"the directory has more than {MAX_ENTRIES} users")
            cookie = result.get("controls", {}).get("1.2.840.113556.1.4.319", {}).get("value", {}).get("cookie", b"")
            if not cookie or not is_complete:
                return People(found, skipped, is_complete and not cookie)

    def _search(self, text: str, *, size_limit: int) -> list[dict[str, Any]]:
        with _translated("does not answer to a search"):
            self._ask(text, size_limit=size_limit)
        result = self._connection.result
        if result["result"] not in (results.RESULT_SUCCESS, results.RESULT_SIZE_LIMIT_EXCEEDED):
            raise Unavailable(f"the directory refuses the search ({result['description']})")
        return [entry for entry in self._connection.response or [] if entry["type"] == "searchResEntry"]

    def _ask(self, text: str, **options: Any) -> None:
        self._connection.search(
            self._settings.user_base,
            text,
            ldap3.SUBTREE,
            dereference_aliases=ldap3.DEREF_NEVER,
            attributes=sorted({self._settings.uid_attr, self._settings.username_attr}),
            **options,
        )

    def _person(self, entry: dict[str, Any]) -> Person | None:
        values = {name.lower(): found for name, found in entry["raw_attributes"].items() if found}
        try:
            uid = values[self._settings.uid_attr.lower()][0].decode()
        except (KeyError, UnicodeDecodeError):
            return None
        shown = values.get(self._settings.username_attr.lower(), [b""])[0].decode(errors="replace")
        return Person(str(entry["dn"]), uid, shown)


def dn_of(pattern: str, name: str) -> str:
    """Insert the name into the pattern, with the special characters of DNs escaped (RFC 4514)."""
    escaped = "".join("".join(f"\\{byte:02x}" for byte in c.encode()) if c in _RDN_SPECIAL or c < " " else c for c in name)
    return pattern.replace(NAME_PLACE, escaped)


class _CheckedTls(ldap3.Tls):
    """OpenSSL checks certificate and host name; unlike ldap3 it supports addresses and wildcards."""

    def __init__(self, host: str, ca_file: str | None) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._host = host
        self._ca_file = ca_file

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        context = ssl.create_default_context(cafile=self._ca_file)
        connection.socket = context.wrap_socket(connection.socket, server_hostname=self._host, do_handshake_on_connect=do_handshake)


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except (LDAPExceptionError, OSError, ValueError) as e:
        raise Unavailable(f"the directory {what}") from e
