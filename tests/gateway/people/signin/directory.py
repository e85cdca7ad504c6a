"""Users in the real slapd, each set below its own organisational unit."""

import os
from typing import Any

import ldap3
from ldap3.utils.dn import escape_rdn

from services.gateway.people.auth.ldap.settings import LdapSettings
from tests.support.slapd import ADMIN_DN, ADMIN_PASSWORD, BASE, READER_DN, READER_PASSWORD, Slapd

FILTER = "(&(objectClass=posixAccount))"


class Tree:
    """The suffix, and the account whose searches return a limited number of entries."""

    def __init__(self, slapd: Slapd) -> None:
        self.slapd = slapd
        self._connection = ldap3.Connection(ldap3.Server(slapd.url, get_info=ldap3.NONE), ADMIN_DN, ADMIN_PASSWORD, check_names=False)
        assert self._connection.bind()
        self.add(BASE, ["dcObject", "organization"], {"dc": "site", "o": "Site"})
        self.add(READER_DN, ["organizationalRole", "simpleSecurityObject"], {"userPassword": READER_PASSWORD})

    def add(self, dn: str, classes: list[str], attributes: dict[str, Any]) -> None:
        assert self._connection.add(dn, classes, attributes), self._connection.result

    def set(self, dn: str, **attributes: str) -> None:
        changes = {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in attributes.items()}
        assert self._connection.modify(dn, changes), self._connection.result

    def remove(self, dn: str) -> None:
        assert self._connection.delete(dn), self._connection.result

    def branch(self) -> "Branch":
        base = f"ou=b{os.urandom(4).hex()},{BASE}"
        self.add(base, ["organizationalUnit"], {})
        return Branch(self, base)


class Branch:
    def __init__(self, tree: Tree, base: str) -> None:
        self.base = base
        self._tree = tree

    def person(self, uid: str, password: str = "open sesame", gecos: str = "", *, others: tuple[str, ...] = ()) -> str:
        """Add a user and return its DN. ``others`` are further login names of the entry."""
        dn = f"uid={escape_rdn(uid)},{self.base}"
        attributes = {
            "cn": uid,
            "uid": [uid, *others],
            "sn": uid,
            "uidNumber": "1000",
            "gidNumber": "1000",
            "homeDirectory": "/home",
            "userPassword": password,
        }
        self._tree.add(dn, ["inetOrgPerson", "posixAccount"], attributes | ({"gecos": gecos} if gecos else {}))
        return dn

    def nameless(self, name: str) -> None:
        """Add an entry without a login name."""
        self._tree.add(f"cn={name},{self.base}", ["inetOrgPerson"], {"sn": name})

    def rename(self, uid: str, gecos: str) -> None:
        self._tree.set(f"uid={uid},{self.base}", gecos=gecos)

    def remove(self, uid: str) -> None:
        self._tree.remove(f"uid={uid},{self.base}")

    def settings(self, **others: Any) -> LdapSettings:
        """Settings of a site that finds users by search."""
        return LdapSettings(**self._values(**others))

    def binding(self, **others: Any) -> LdapSettings:
        """Settings of a site that builds DNs from a pattern."""
        return self.settings(user_bind=f"uid={{username}},{self.base}", **others)

    def _values(self, **others: Any) -> dict[str, Any]:
        return {
            "url": self._tree.slapd.url,
            "user_base": self.base,
            "search_dn": ADMIN_DN,
            "search_password": ADMIN_PASSWORD,
            "user_filter": FILTER,
        } | others


AS_READER = {"search_dn": READER_DN, "search_password": READER_PASSWORD}
