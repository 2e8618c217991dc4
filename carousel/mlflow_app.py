"""MLflow's server as ``carousel up`` starts it with ``CAROUSEL_AUTH``: ``mlflow server --app-name carousel``."""

from __future__ import annotations

from starlette.types import ASGIApp

from carousel.authentication import VARIABLE, Authenticated, credentials
from carousel.origins import OwnPages

PUBLIC = ("/health", "/version")


def create_app() -> ASGIApp:
    """Return MLflow's server for who knows ``CAROUSEL_AUTH``, and for pages of its own.

    Raises:
        RuntimeError: the variable is not set.
    """
    from mlflow.server.fastapi_app import app

    if (expected := credentials()) is None:
        raise RuntimeError(f"set {VARIABLE}=user:password: this app asks for it")
    # A browser sends the password that it knows along with whatever another page asks it to send.
    return OwnPages(Authenticated(app, expected, PUBLIC))
