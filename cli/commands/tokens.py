"""`jobtide token` and `jobtide keys`."""

import re
import sys
from pathlib import Path

from cli.keys import generate, private_key_of, sign_token
from cli.site import find_site
from shared.errors import UserError
from shared.settings import load

PUBLIC_KEY_VARIABLE = "JOBTIDE_GATEWAY_JWT_PUBLIC_KEY"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_ttl(text: str) -> int | None:
    """Seconds, or None for no expiry. Raises UserError."""
    if text == "0":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise UserError(f"--ttl: {text!r} is not a duration such as 90s, 30m, 12h or 30d")
    return int(match[1]) * _UNITS_S[match[2]]


def run_token(data: Path | None, user: str, roles: list[str], ttl: str) -> None:
    from services.gateway.people.auth.settings import AuthSettings
    from services.gateway.people.identity import ROLES

    if not user.strip():
        raise UserError("USER is empty")
    for role in roles:
        if role not in ROLES:
            raise UserError(f"--role: {role!r} is not one of {', '.join(ROLES)}")
    ttl_s = parse_ttl(ttl)
    if load(AuthSettings).jwt_validate_user:
        text = f"the token works if {user} is a user of the site, with that user's roles instead of those given here"
        print(f"jobtide: `jwt_validate_user` is set: {text}", file=sys.stderr)
    print(sign_token(private_key_of(find_site(data).keys_file), user, roles, ttl_s))


def run_keys(pem: Path | None, env: Path | None) -> None:
    """A new pair, or the key or keys of a file. Raises UserError."""
    from cli.keyfiles import keys_of_env, public_key_of_pem, read_text

    if pem is not None and env is not None:
        raise UserError("either --from-pem or --from-env can be given")
    if pem is not None:
        print(f'CROSS_LOGIN_JWT_PUBLIC_KEY="{public_key_of_pem(read_text(pem).encode(), str(pem))}"')
        return
    if env is not None:
        for variable, value in keys_of_env(read_text(env), str(env)).items():
            print(f"{variable}={value}")
        return
    pair = generate()
    print(f'ED25519 PUBLIC_KEY="{pair.public}"')
    print(f'ED25519 PRIVATE_KEY="{pair.private}"')
    print("This is a key pair for signing and checking tokens, not a token. Keep the private key secret.")
    print("\n# The same for the environment: the first for the gateway, the second for `jobtide token`")
    print(f"{PUBLIC_KEY_VARIABLE}={pair.public}")
    print(f"JWT_PRIVATE_KEY={pair.private}")
