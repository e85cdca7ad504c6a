"""Sign-in by the password in the user table, the last method of the chain."""

from services.gateway.people.auth.login import Attempt, login_failed
from services.gateway.people.auth.passwords import Passwords
from services.gateway.people.identity import AuthSource, User


class LocalLogin:
    """Also claims names that do not exist, so that they take as long to fail as a wrong password."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords

    async def claims(self, attempt: Attempt) -> bool:
        return bool(attempt.name)

    async def login(self, attempt: Attempt) -> User:
        account = attempt.account
        is_local = account is not None and account.source is AuthSource.LOCAL
        fits = await self._passwords.fits(attempt.password, account.password if account is not None and is_local else None, attempt.origin)
        if account is None or not fits:
            raise login_failed()
        return account.user
