"""The sign-in form, and the home page of a gateway without the web interface. They load nothing from other hosts."""

from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import hdrs, web

_HOME = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>jobtide</title>
</head>
<body>
  <main>
    <h1>jobtide</h1>
    <ul>
      {playground}
      <li><a href="{base}swagger/">REST: the description of every operation</a></li>
      {sign_in}
    </ul>
    {sign_out}
    <p>The pages of jobs and nodes are not part of this installation.</p>
  </main>
</body>
</html>
"""
_PLAYGROUND = '<li><a href="{base}playground/">GraphQL: a page to write queries</a></li>'
_SIGN_IN = '<li><a href="{base}login">Sign in</a></li>'
_SIGN_OUT = """<form method="post" action="{base}logout">
      <p>Signed in as {user} <button>Sign out</button></p>
    </form>"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <link rel="icon" href="data:,">
  <title>jobtide: sign in</title>
  {stylesheet}
</head>
<body class="sign-in">
  <main>
    <h1>Sign in</h1>
    {notice}
    <form method="post" action="{base}login">
      <input type="hidden" name="redirect" value="{redirect}">
      <p><label>Name <input name="username" autocomplete="username" required autofocus></label></p>
      <p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
      <p><button>Sign in</button></p>
    </form>
    {provider}
  </main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Look:
    """``base`` is the path under which browsers reach the gateway, ``stylesheet`` one of the built web interface, relative to it."""

    base: str = "/"
    stylesheet: str = ""


def sign_in_page(
    notice: str = "",
    redirect: str = "/",
    status: HTTPStatus = HTTPStatus.OK,
    *,
    has_provider: bool = False,
    look: Look = Look(),
) -> web.Response:
    """The sign-in form. ``redirect`` must already be validated. ``has_provider`` adds a link to the site's provider."""
    base = escape(look.base)
    way = f"{base}oidc-login?redirect={quote(redirect, safe='/')}"
    text = _PAGE.format(
        base=base,
        stylesheet=f'<link rel="stylesheet" href="{base}{escape(look.stylesheet)}">' if look.stylesheet else "",
        notice=f'<p role="alert">{escape(notice)}</p>' if notice else "",
        redirect=escape(redirect),
        provider=f'<p><a href="{way}">Sign in with the site\'s provider</a></p>' if has_provider else "",
    )
    return web.Response(text=text, content_type="text/html", status=status)


def home_page(user: str | None, *, has_playground: bool, base: str = "/") -> web.Response:
    """``user`` is the signed-in user, if any."""
    base = escape(base)
    text = _HOME.format(
        base=base,
        playground=_PLAYGROUND.format(base=base) if has_playground else "",
        sign_in=_SIGN_IN.format(base=base) if user is None else "",
        sign_out="" if user is None else _SIGN_OUT.format(base=base, user=escape(user)),
    )
    return web.Response(text=text, content_type="text/html", headers={hdrs.CACHE_CONTROL: "no-store"})
