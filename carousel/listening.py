"""Where the servers listen and whom they answer: this machine, or, with ``CAROUSEL_AUTH``, others that know it."""

from __future__ import annotations

from pathlib import Path

from carousel.authentication import HOST, LOOPBACK, credentials

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104


def address(host: str, port: int) -> str:
    """Return the URL by which this machine reaches what listens at ``host``."""
    return f"http://{HOST if host in WILDCARDS else host}:{port}"


def client_variables() -> dict[str, str]:
    """Return what Prefect's and MLflow's clients read to say who they are; nothing without ``CAROUSEL_AUTH``."""
    if (known := credentials()) is None:
        return {}
    user, _, password = known.partition(":")
    return {
        "PREFECT_API_AUTH_STRING": known,
        "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": password,
    }


def prefect_command(port: int, level: str, host: str = HOST) -> list[str]:
    """Return the arguments of ``python -m`` for Prefect's server; it reads ``prefect_variables``."""
    app = ["--factory", "carousel.prefect_app:create_app", "--host", host, "--port", str(port)]
    return ["uvicorn", "--log-level", level, "--lifespan", "on", *app]


def prefect_variables(port: int, host: str = HOST) -> dict[str, str]:
    """Return what Prefect's server reads: where it listens, whom it answers, how long a place is waited for."""
    variables = {
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(f"http://{name}:{port}" for name in LOOPBACK),
        "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    }
    if host not in LOOPBACK:
        # Its pages are called by whatever name leads there.
        variables["PREFECT_SERVER_UI_API_URL"] = "/api"
    if (known := credentials()) is not None:
        variables["PREFECT_SERVER_API_AUTH_STRING"] = known
    return variables


def mlflow_command(store: str, artifacts: Path, port: int, host: str = HOST) -> list[str]:
    """Return the arguments of ``python -m`` for MLflow's server on ``store``; clients write artifacts themselves.

    It refuses changes that a page of another host asks for. By default its hosts are names that begin like a private
    address, too, such as ``10.example.org``, to which anybody can give this machine's address. With ``CAROUSEL_AUTH``
    it is ``carousel.mlflow_app`` that asks who it is and where a page is from.
    """
    where = ["--backend-store-uri", store, "--no-serve-artifacts", "--default-artifact-root", str(artifacts)]
    hosts, origins = ([f"{name}:*" for name in LOOPBACK], [f"http://{name}:{port}" for name in LOOPBACK])
    if host not in LOOPBACK:
        hosts, origins = ["*"], ["*"]
    own = ["--allowed-hosts", ",".join(hosts), "--cors-allowed-origins", ",".join(origins)]
    asked = ["--app-name", "carousel"] if credentials() is not None else []
    return ["mlflow", "server", *where, *own, *asked, "--host", host, "--port", str(port), "--workers", "1"]
