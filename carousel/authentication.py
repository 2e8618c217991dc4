"""Who may use what is served beyond this machine: the user and password of ``CAROUSEL_AUTH``, by HTTP Basic.

The variable is read where the server starts and is neither logged nor handed to a command line. HTTP does not hide it
on its way: put a proxy with TLS in front where the network is not yours.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from tasks.errors import InputError

VARIABLE = "CAROUSEL_AUTH"
SHORTEST_PASSWORD = 8
HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost")
"""Names of this machine; in a browser no page from elsewhere can have one of these."""


def credentials() -> str | None:
    """Return ``user:password`` from the environment, if it is set.

    Raises:
        InputError: it has no user, or too short a password.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    user, _, password = given.partition(":")
    if not user or len(password) < SHORTEST_PASSWORD:
        raise InputError(
            f"{VARIABLE} must be user:password with at least {SHORTEST_PASSWORD} characters of password",
            "something else, which is not shown",
            "set it anew where the server starts",
        )
    return given


def check_host(host: str) -> None:
    """Let a server listen beyond this machine only with authentication.

    Raises:
        InputError: ``host`` is not this machine alone, and ``CAROUSEL_AUTH`` is not set.
    """
    if credentials() is None and host not in LOOPBACK:
        raise InputError(
            "what listens beyond this machine needs authentication",
            f"--host {host} without {VARIABLE}",
            f"set {VARIABLE}=user:password, or leave the host at {LOOPBACK[0]}",
        )


class Authenticated:
    """Answer 401 to a request without the right user and password.

    Args:
        app: what answers the others.
        expected: ``user:password``.
        public: paths that anybody may ask for.
    """

    def __init__(self, app: ASGIApp, expected: str, public: Collection[str]) -> None:
        self._app, self._expected, self._public = app, expected.encode(), frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._admits(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        asks = {"WWW-Authenticate": 'Basic realm="carousel"'}
        await PlainTextResponse("user and password are needed", 401, asks)(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if scope["type"] == "http" and scope["path"] in self._public:
            return True
        scheme, _, encoded = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return False
        return secrets.compare_digest(given, self._expected)
