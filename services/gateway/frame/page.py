"""Pages for people: where everything is, and the form for signing in. Nothing on them comes from elsewhere."""

from html import escape
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

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
      <li><a href="/swagger/">REST: the description of every operation</a></li>
      <li><a href="/login">Sign in</a></li>
    </ul>
  </main>
</body>
</html>
"""
_PLAYGROUND = '<li><a href="/playground/">GraphQL: a page to write queries</a></li>'
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>jobtide: sign in</title>
</head>
<body>
  <main>
    <h1>Sign in</h1>
    {notice}
    <form method="post" action="/login">
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


def sign_in_page(notice: str = "", redirect: str = "/", status: HTTPStatus = HTTPStatus.OK, *, has_provider: bool = False) -> web.Response:
    """``redirect`` must be checked already. With a provider there is a way to it too."""
    said = f'<p role="alert">{escape(notice)}</p>' if notice else ""
    way = f'<p><a href="/oidc-login?redirect={quote(redirect, safe="/")}">Sign in with the site\'s provider</a></p>' if has_provider else ""
    return web.Response(text=_PAGE.format(notice=said, redirect=escape(redirect), provider=way), content_type="text/html", status=status)


def home_page(*, has_playground: bool) -> web.Response:
    return web.Response(text=_HOME.format(playground=_PLAYGROUND if has_playground else ""), content_type="text/html")
