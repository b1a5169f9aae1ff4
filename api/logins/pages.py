"""The pages of a login: plain HTML, no scripts, usable with the keyboard alone."""

from html import escape

from starlette.responses import HTMLResponse

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = (
    ":root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}"
    "button,input{font:inherit}button{padding:.3rem 1rem}"
)


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{escape(title)} - Exclave</title><style>{_STYLE}</style>"
    html = f'<!doctype html><html lang="en"><head>{head}</head><body><main><h1>{escape(title)}</h1>{body}</main></body></html>'
    return HTMLResponse(html, status, headers=_HEADERS)


def message(title: str, text: str, status: int = 200) -> HTMLResponse:
    """A page that only says something."""
    return _page(title, f"<p>{escape(text)}</p>", status)


def confirm(user_code: str, who: str, may: str) -> HTMLResponse:
    """Asks the person whether the program may act for them."""
    return _page(
        "Log a program in",
        f"<p>A program that shows the code below asks to act for you, <b>{escape(who)}</b>, {escape(may)}.</p>"
        "<p>Confirm only if you started it yourself, and it shows the same code.</p>"
        '<form method="post" action="/login/device">'
        f'<p><label>Code <input name="user_code" value="{escape(user_code)}" required autocomplete="off"></label></p>'
        '<p><button name="answer" value="confirm">Confirm</button> <button name="answer" value="deny">Deny</button></p></form>',
    )
