"""bcrypt hashes of passwords. Imported by the command line too, so without the gateway's own imports."""

import bcrypt

from services.gateway.people.users.rules import check_password

COST = 10  # that of cc-backend; about 60 ms


def hash_password(password: str, min_characters: int, cost: int = COST) -> str:
    """Hash a new password in the format of cc-backend, which can then use our table. Raises BadField."""
    return bcrypt.hashpw(check_password(password, min_characters).encode(), bcrypt.gensalt(cost, b"2a")).decode()


def password_fits(password: str, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), hashed.encode())
    except ValueError:  # too long for bcrypt, or no bcrypt hash in the table
        return False
