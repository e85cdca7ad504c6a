"""The sign-in form. It loads nothing from other hosts."""

from html import escape
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from services.gateway.frame.pages.look import Look, document

_FORM = """<form method="post" action="{base}login">
      <input type="hidden" name="redirect" value="{redirect}">
      <p><label>Name <input name="username" value="{name}" autocomplete="username" required{focus_name}></label></p>
      <p><label>Password <input name="password" type="password" autocomplete="current-password" required{focus_password}></label></p>
      <p><button>Sign in</button></p>
    </form>"""
_FOCUS = " autofocus"


def sign_in_page(
    look: Look,
    notice: str = "",
    redirect: str = "/",
    status: HTTPStatus = HTTPStatus.OK,
    *,
    name: str = "",
    has_provider: bool = False,
) -> web.Response:
    """``redirect`` must already be validated; ``name`` is what was typed before. ``has_provider`` adds a link to the site's provider."""
    base = escape(look.base)
    parts = [
        f"<h1>{escape(look.site)}</h1>",
        f'<p role="alert">{escape(notice)}</p>' if notice else "",
        _FORM.format(
            base=base,
            redirect=escape(redirect),
            name=escape(name),
            focus_name="" if name else _FOCUS,
            focus_password=_FOCUS if name else "",
        ),
    ]
    if has_provider:
        way = f"{base}oidc-login?redirect={quote(redirect, safe='/')}"
        parts.append(f'<p><a href="{way}">Sign in with the site\'s provider</a></p>')
    return web.Response(text=document(look, "sign in", parts), content_type="text/html", status=status)
