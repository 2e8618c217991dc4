"""Whether something of this home answers other machines without asking who they are."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import psutil

from carousel.authentication import HOST
from carousel.doctor.answers import ask
from carousel.doctor.findings import Found, broken
from carousel.doctor.place import Place

_OURS = ("carousel", "prefect", "mlflow")

_PROBES = {
    "Prefect": ("/api/flows/filter", {}),
    "MLflow": ("/api/2.0/mlflow/experiments/search", {"max_results": 1}),
    "a served model": ("/invocations", {}),
}
"""What each server answers only to whom it knows, and the body to ask it with: no model can predict from that one."""

_CLOSED = (401, 403, 404, 405)


def look(place: Place) -> Found:
    """Ask each server of this home that listens beyond loopback something, without user and password."""
    sockets = sorted(_beyond(place.env.root))
    yield f"{len(sockets)} sockets beyond this machine"
    for port, pid in sockets:
        if opened := _answers(port):
            yield broken(
                "what listens beyond this machine needs authentication",
                f"{opened} at port {port} of all addresses, process {pid}, answers anybody",
                "stop it and start it with CAROUSEL_AUTH=user:password set, or with --host 127.0.0.1",
            )


def _answers(port: int) -> str | None:
    """Return which server answers at ``port`` without a password; None: none does."""
    for name, (path, body) in _PROBES.items():
        try:
            status = ask(f"http://{HOST}:{port}{path}", body).status
            if status < 500 and status not in _CLOSED:
                return name
        except OSError:
            continue
    return None


def _beyond(root: Path) -> set[tuple[int, int]]:
    """Return port and process of what belongs to the home ``root`` and listens beyond loopback."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            listening = [one for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
            if listening and _of(process, root):
                found |= {(one.laddr.port, process.pid) for one in listening if _is_beyond(one.laddr.ip)}
        except psutil.Error:
            continue
    return found


def _is_beyond(ip: str) -> bool:
    return not ipaddress.ip_address(ip.partition("%")[0]).is_loopback


def _of(process: psutil.Process, root: Path) -> bool:
    """Say whether ``process`` works on the home ``root``: by its environment, or by where it was started."""
    home = process.environ().get("CAROUSEL_HOME")
    if home is None and not any(ours in word for word in process.cmdline() for ours in _OURS):
        return False
    return (Path(process.cwd()) / Path(home or "mlruns").expanduser()).resolve() == root
