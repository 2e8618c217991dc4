"""A registered model over HTTP, as MLflow's scoring server answers, with limits.

    POST /invocations   a table in JSON or CSV; the answer is JSON, or CSV where the header Accept asks for it
    GET  /ping, /health the process answers
    GET  /ready         a version is loaded and has predicted
    GET  /version       which version, what it takes, and what keeps a newer one from being served

A request beyond a limit is refused before it costs anything: 413 for bytes, 400 for rows and steps, 429 for requests at
once, 408 or 504 for time. A computation that is out of time keeps its place among those that compute until it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from carousel import payloads
from carousel.authentication import LOOPBACK, Authenticated, check_host, credentials
from carousel.served import Served, Watch

PORT = 5001
PUBLIC = ("/ping", "/health", "/ready")
"""What a probe may ask without authentication."""
MOST_CONNECTIONS = 512
VERSION = "x-carousel-version"
logger = logging.getLogger("carousel.serve")


@dataclass(frozen=True)
class Limits:
    """Of a request: bytes of its body, rows, steps of an item, seconds; and how many requests there may be at once.

    ``computing`` of them are computed at a time, the others wait.
    """

    megabytes: float = 8.0
    rows: int = 100_000
    steps: int = 100_000
    seconds: float = 30.0
    requests: int = 32
    computing: int = 1

    @property
    def bytes(self) -> int:
        return int(self.megabytes * 1e6)


class Refusal(Exception):
    """An answer of ``status`` that says why there is no other."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers

    def response(self) -> Response:
        code = "BAD_REQUEST" if self.status < 500 else "INTERNAL_ERROR"
        told = json.dumps({"error_code": code, "message": self.message})
        return Response(told, self.status, self.headers, payloads.JSON)


class Desk:
    """Takes requests, as many at once as ``limits`` lets it, and answers with what ``watch`` has loaded."""

    def __init__(self, watch: Watch, limits: Limits) -> None:
        self.watch, self.limits = watch, limits
        self.taken = 0
        self.pool = ThreadPoolExecutor(limits.computing, thread_name_prefix="carousel-serve")

    async def answer(self, request: Request) -> Response:
        """Answer POST /invocations."""
        try:
            if self.taken >= self.limits.requests:
                raise Refusal(429, f"{self.taken} requests are being answered", **{"Retry-After": "1"})
            self.taken += 1
            try:
                return await self._answered(request)
            finally:
                self.taken -= 1
        except Refusal as refusal:
            return refusal.response()

    async def _answered(self, request: Request) -> Response:
        media_type = _media_type(request)
        until = asyncio.get_running_loop().time() + self.limits.seconds
        try:
            async with asyncio.timeout_at(until):
                body = await self._body(request)
        except TimeoutError:
            raise Refusal(408, f"the body did not come within {self.limits.seconds:g} s") from None
        except ClientDisconnect:
            raise Refusal(400, "the client went away") from None
        accept = request.headers.get("accept", "")
        try:
            async with asyncio.timeout_at(until):
                # Cancelled before its turn it never begins; once begun it cannot be stopped.
                return await asyncio.get_running_loop().run_in_executor(
                    self.pool, self._compute, body, media_type, accept
                )
        except TimeoutError:
            raise Refusal(504, f"there was no answer within {self.limits.seconds:g} s") from None

    async def _body(self, request: Request) -> bytes:
        """Return the body, which is refused as soon as it is known to be too large."""
        too_large = Refusal(413, f"a body may have at most {self.limits.bytes:,} bytes", Connection="close")
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self.limits.bytes:
            raise too_large
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.limits.bytes:
                raise too_large
        return bytes(body)

    def _compute(self, body: bytes, media_type: str, accept: str) -> Response:
        """Predict in a thread of the pool, all of a request with one version."""
        if (served := self.watch.current) is None:
            raise Refusal(503, "no version is loaded yet", **{"Retry-After": "1"})
        try:
            table = payloads.read(body, media_type, served.schema, self.limits.rows)
            predicted = served.model.predict(None, table)
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        except Exception as error:
            logger.exception("%s could not predict", served.name)
            raise Refusal(500, "the model could not predict: the server's log says why") from error
        try:
            content, written = payloads.write(predicted, accept)
        except ValueError as error:
            logger.exception("%s predicted what cannot be written", served.name)
            raise Refusal(500, "a prediction is not finite") from error
        return Response(content, 200, {VERSION: served.name}, written)


def create_app(watch: Watch, limits: Limits, hosts: Sequence[str] = LOOPBACK, expected: str | None = None) -> FastAPI:
    """Return the application, which starts and stops ``watch``.

    Args:
        watch: loads what is served.
        limits: of requests.
        hosts: names under which it answers; a page elsewhere could give its own name this machine's address.
        expected: ``user:password``; None: anybody who can reach it may ask.
    """
    desk = Desk(watch, limits)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        watch.start()
        yield
        await asyncio.to_thread(watch.stop)
        desk.pool.shutdown(wait=False, cancel_futures=True)

    # Its pages of documentation would load scripts from elsewhere.
    app = FastAPI(title="Carousel", docs_url=None, redoc_url=None, openapi_url=None, lifespan=living)
    app.add_api_route("/invocations", desk.answer, methods=["POST"], response_class=Response)
    for path in ("/ping", "/health"):
        app.add_api_route(path, lambda: Response("\n", 200, media_type=payloads.JSON), methods=["GET"])
    app.add_api_route("/ready", lambda: _ready(watch), methods=["GET"])
    app.add_api_route("/version", lambda: _version(watch), methods=["GET"])
    if expected is not None:
        app.add_middleware(Authenticated, expected=expected, public=PUBLIC)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    return app


def serve(model: str, host: str, port: int, limits: Limits) -> None:
    """Serve ``model`` at ``host`` and ``port`` until SIGINT or SIGTERM; requests that came are answered first.

    Raises:
        InputError: there is no such model, or it would listen beyond this machine without authentication.
    """
    import torch
    import uvicorn

    from tasks.registry import resolve

    check_host(host)
    resolve(model)
    # Requests are computed side by side: more threads for each would only wait for one another.
    torch.set_num_threads(1)
    hosts = LOOPBACK if host in LOOPBACK else ("*",)
    app: ASGIApp = create_app(Watch(model, limits.steps), limits, hosts, credentials())
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=round(limits.seconds) + 1,
    )
    uvicorn.Server(config).run()


def _media_type(request: Request) -> str:
    """Return the type of the body.

    Raises:
        Refusal: it is another than JSON or CSV in UTF-8, or packed.
    """
    given, *parameters = request.headers.get("content-type", "").lower().replace(" ", "").split(";")
    packed = request.headers.get("content-encoding", "identity").lower() != "identity"
    others = [parameter for parameter in parameters if parameter not in ("", "charset=utf-8", 'charset="utf-8"')]
    if given not in payloads.TYPES or others or packed:
        raise Refusal(415, f"a request is {' or '.join(payloads.TYPES)} in UTF-8, not packed: say so in Content-Type")
    return given


def _ready(watch: Watch) -> Response:
    if watch.current is not None:
        return Response("\n", 200, media_type=payloads.JSON)
    # Anybody may ask this; what is wrong stands in /version.
    return Refusal(503, "no version is loaded yet").response()


def _version(watch: Watch) -> Response:
    served: Served | None = watch.current
    told: dict[str, Any] = {"asked": watch.model, "serving": served.name if served else None}
    if served is not None:
        told |= {"model": served.version.fingerprint, "inputs": served.schema.to_dict()}
    return Response(json.dumps(told | {"trouble": watch.trouble}), 200, media_type=payloads.JSON)
