"""The home page of a gateway without the web interface."""

from html import escape

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
