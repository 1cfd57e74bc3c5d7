"""The page's files and the headers under which a browser runs them."""

from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = "/page/"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only this server's files, no inline scripts, no other origin; pictures may be given as data."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def wants_page(request: Request) -> bool:
    """Whether a browser asks; programs get a list of the endpoints."""
    return "text/html" in request.headers.get("accept", "")


def page() -> Response:
    """The chat page."""
    return _file("index.html")


def page_files() -> Route:
    """Scripts and styles of the page, by name."""

    async def named(request: Request) -> Response:
        """One file; others than the page's own are not found."""
        return _file(request.path_params["name"])

    return Route(FOLDER + "{name}", named)


def _file(name: str) -> Response:
    known = {entry.name: entry for entry in (files(__package__) / "static").iterdir()}
    kind = KINDS.get(name[name.rfind(".") :])
    if name not in known or kind is None:
        raise HTTPException(404, "no such file of the page")
    return Response(known[name].read_bytes(), media_type=kind, headers=HEADERS)
