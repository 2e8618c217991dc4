"""Which pages of a browser a server answers: its own. Programs name no origin and are let through."""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class OwnPages:
    """Refuse a request or WebSocket that a browser sends for a page of another origin; a program names no origin.

    Args:
        app: what answers the others.
        origins: scheme, host and port of the server's own pages, such as ``http://127.0.0.1:4200``; none: those of the
            host that the request itself names. Whoever answers for that must ask who it is.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] | None = None) -> None:
        self._app, self._origins = app, frozenset(origins) if origins is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] in ("http", "websocket") else Headers()
        origin = headers.get("origin")
        own = self._origins if self._origins is not None else _pages(headers.get("host", ""))
        if origin is None or origin in own:
            await self._app(scope, receive, send)
            return
        refusal = "This server answers programs and its own pages: open it at " + " or ".join(sorted(own))
        await PlainTextResponse(refusal, status_code=403)(scope, receive, send)


def _pages(host: str) -> frozenset[str]:
    return frozenset({f"http://{host}", f"https://{host}"})
