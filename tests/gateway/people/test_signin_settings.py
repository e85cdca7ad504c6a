"""Sign-in: settings that are refused, targets of redirects."""

import base64
from typing import Any

import pytest

from services.gateway.frame.settings import GatewaySettings
from services.gateway.people.auth.cookie import session_key
from services.gateway.people.auth.redirects import local_target
from services.gateway.people.auth.settings import AuthSettings
from shared.errors import UserError
from tests.gateway.accounts import auth_settings


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "https:evil.example",
        "https:/a",
        "/é",
        "/a\r\nSet-Cookie: x=y",
        "",
        "///evil.example",
        "/" + "a" * 3000,
    ],
)
def test_a_redirect_leads_to_this_server_only(target: str) -> None:
    assert local_target(target) == "/"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a?b=c#d", "/a?b=c#d"),
        ("monitoring/jobs/", "/monitoring/jobs/"),
        ("/a?b=c d", "/a?b=c%20d"),
        (" //x", "/"),
        ("evil.example", "/evil.example"),
    ],
)
def test_a_redirect_to_a_path_is_followed_from_the_root(target: str, path: str) -> None:
    assert local_target(target) == path


@pytest.mark.parametrize(
    ("http", "settings", "said"),
    [
        ("0.0.0.0:0", {}, "JOBTIDE_AUTH_SESSION_KEY"),
        ("0.0.0.0:0", {"key": True, "session_cookie_secure": "never"}, "JOBTIDE_AUTH_SESSION_COOKIE_SECURE"),
        ("[::]:0", {}, "JOBTIDE_AUTH_SESSION_KEY"),
        ("gateway.example:80", {}, "JOBTIDE_AUTH_SESSION_KEY"),
    ],
)
def test_settings_that_are_only_safe_on_loopback_stop_the_start(http: str, settings: dict[str, Any], said: str) -> None:
    auth = auth_settings(**{k: v for k, v in settings.items() if k != "key"}) if settings else AuthSettings()
    with pytest.raises(UserError, match=said) as raised:
        session_key(auth.secret("session_key"), auth.session_cookie_secure, http)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "key", ["67d829bf61dc5f87a73fd814e2c9f629", "%", base64.b64encode(b"short").decode(), base64.b64encode(b"a" * 32).decode()]
)
def test_a_weak_session_key_stops_the_start(key: str) -> None:
    with pytest.raises(ValueError, match=r"session_key"):
        AuthSettings(session_key=key)


def test_a_published_key_stops_the_start() -> None:
    with pytest.raises(ValueError, match="published"):
        GatewaySettings(jwt_public_key="kzfYrYy+TzpanWZHJ5qSdMj5uKUWgq74BWhQG6copP0=")
