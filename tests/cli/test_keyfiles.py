"""`jobtide keys` reads and writes the forms of cc-backend's key tools."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cli.keyfiles import keys_of_env, public_key_of_pem
from cli.keys import generate
from shared.errors import UserError
from tests.cli.sites import assert_user_mistake, jobtide

# Of the description of convert-pem-pubkey and gen-keypair.
PEM = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAdVxMuSVsp83ErP3Gz+7ahJAX5bn5UU6ZGRvWfgsNQnY=\n-----END PUBLIC KEY-----\n"
PUBLIC = "dVxMuSVsp83ErP3Gz+7ahJAX5bn5UU6ZGRvWfgsNQnY="
PRIVATE = "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dx1XEy5JWynzcSs/cbP7tqEkBfluflRTpkZG9Z+Cw1Cdg=="
SECRET = base64.b64encode(bytes(range(32))).decode()


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_the_key_of_a_portal_is_printed_as_convert_pem_pubkey_prints_it(tmp_path: Path) -> None:
    file = tmp_path / "portal.pem"
    file.write_bytes(b"comment\n" + PEM.replace(b"PUBLIC KEY", b"ANY LABEL") + PEM)
    assert jobtide("keys", "--from-pem", file).stdout == f'CROSS_LOGIN_JWT_PUBLIC_KEY="{PUBLIC}"\n'
    assert_user_mistake(jobtide("keys", "--from-pem", tmp_path / "none"), "cannot read")
    assert_user_mistake(jobtide("keys", "--from-pem", file, "--from-env", file), "--from-env")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "has no PEM block"),
        (b"-----BEGIN PUBLIC KEY-----\n???\n-----END PUBLIC KEY-----", "not base64"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "SubjectPublicKeyInfo"),
        (pem(rsa.generate_private_key(65537, 2048)), "RSA of 2048 bits; Ed25519 is expected"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "256 bits; Ed25519 is expected"),
        (
            Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "holds a private key; the public key is expected",
        ),
    ],
    ids="empty no-base64 no-key rsa ec private".split(),
)
def test_other_content_is_refused_with_its_kind(content: bytes, word: str) -> None:
    with pytest.raises(UserError, match=word) as caught:
        public_key_of_pem(content, "portal.pem")
    assert "portal.pem" in str(caught.value)


def test_lines_of_gen_keypair_and_of_an_env_file_become_settings(tmp_path: Path) -> None:
    lines = f'ED25519 PUBLIC_KEY="{PUBLIC}"\nED25519 PRIVATE_KEY="{PRIVATE}"\nThis is NO JWT token.\n'
    pair = {"JOBTIDE_GATEWAY_JWT_PUBLIC_KEY": PUBLIC, "JOBTIDE_GATEWAY_JWT_PRIVATE_KEY": PRIVATE}
    assert keys_of_env(lines, "x") == pair
    env = (
        f"# keys\nexport JWT_PUBLIC_KEY='{PUBLIC}' \n JWT_PRIVATE_KEY = {PRIVATE} # secret\nSESSION_KEY=\"{SECRET}\"\n"
        f"CROSS_LOGIN_JWT_HS512_KEY={SECRET}\nCROSS_LOGIN_JWT_PUBLIC_KEY={PUBLIC}\nLDAP_ADMIN_PASSWORD=x\nJWT_PUBLIC_KEY_OLD=x\n"
    )
    others = {"SESSION_KEY": SECRET, "CROSS_LOGIN_HS512_KEY": SECRET, "CROSS_LOGIN_PUBLIC_KEY": PUBLIC}
    assert keys_of_env(env, "x") == pair | {f"JOBTIDE_AUTH_{name}": value for name, value in others.items()}
    (tmp_path / ".env").write_text(env)
    assert jobtide("keys", "--from-env", tmp_path / ".env").stdout.splitlines()[0] == f"JOBTIDE_GATEWAY_JWT_PUBLIC_KEY={PUBLIC}"


def test_a_generated_pair_is_read_back() -> None:
    done = jobtide("keys").stdout
    assert set(keys_of_env(done, "x")) == {"JOBTIDE_GATEWAY_JWT_PUBLIC_KEY", "JOBTIDE_GATEWAY_JWT_PRIVATE_KEY"}


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("", "has none of the keys JWT_PUBLIC_KEY"),
        ("JWT_PUBLIC_KEY=not base64!", "JWT_PUBLIC_KEY is not base64"),
        (f"JWT_PUBLIC_KEY={PRIVATE}", "JWT_PUBLIC_KEY has 64 bytes instead of 32"),
        (f"JWT_PRIVATE_KEY={PUBLIC}", "JWT_PRIVATE_KEY has 32 bytes instead of 64"),
        (f"JWT_PRIVATE_KEY={PRIVATE}\nJWT_PUBLIC_KEY={generate().public}", "JWT_PRIVATE_KEY and JWT_PUBLIC_KEY do not belong together"),
        (f"JWT_PRIVATE_KEY={base64.b64encode(bytes(64)).decode()}", "two halves of JWT_PRIVATE_KEY"),
        ("SESSION_KEY=AAAA", "SESSION_KEY has 3 bytes; at least 32 are needed"),
    ],
)
def test_a_wrong_key_is_refused_with_its_variable_and_never_shown(line: str, word: str) -> None:
    with pytest.raises(UserError, match=word) as caught:
        keys_of_env(line, ".env")
    assert PRIVATE not in str(caught.value)
