"""HTTP requests that end within a time limit, whatever is at the other side."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from carousel.doctor.place import TIMEOUT

_MOST = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What a server said; ``date`` is its clock as it tells it, ``asked`` and ``got`` ours in seconds since 1970."""

    status: int
    body: bytes
    date: str | None
    asked: float
    got: float

    @property
    def refused(self) -> bool:
        return self.status in (401, 403)


def ask(url: str, body: Any = None, known: str | None = None, method: str | None = None) -> Answer:
    """Request ``url``, with ``body`` as JSON, if there is one, and the header ``Authorization: KNOWN``.

    Raises:
        OSError: nothing answers, or not in time.
    """
    headers = {"Content-Type": "application/json", **({"Authorization": known} if known else {})}
    data = None if body is None else json.dumps(body).encode()
    asked = time.time()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return Answer(answer.status, answer.read(_MOST), answer.headers["Date"], asked, time.time())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(_MOST), error.headers["Date"], asked, time.time())
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from None


def basic(user_and_password: str) -> str:
    """Return the value of the header ``Authorization`` for HTTP Basic."""
    return f"Basic {b64encode(user_and_password.encode()).decode()}"


def prefect_known() -> str | None:
    """Return by what header Prefect's clients say who they are."""
    if given := os.environ.get("PREFECT_API_AUTH_STRING"):
        return basic(given)
    key = os.environ.get("PREFECT_API_KEY")
    return f"Bearer {key}" if key else None


def mlflow_known() -> str | None:
    """Return by what header MLflow's clients say who they are."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    if user and password:
        return basic(f"{user}:{password}")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else None
