"""Ports of 127.0.0.1 that somebody demands or has."""

from __future__ import annotations

import psutil

from carousel.services import free_port
from tasks.errors import InputError


def listener(port: int) -> str:
    """Return what listens at ``port``, as far as this user may know."""
    try:
        found = psutil.net_connections("tcp")
        pids = [one.pid for one in found if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid]
        return f"{psutil.Process(pids[0]).name()}, process {pids[0]}" if pids else "another user's process"
    except psutil.Error:
        return "another process"


def demanded_port(port: int) -> int:
    """Return ``port``, which the user asked for.

    Raises:
        InputError: something listens there.
    """
    if free_port(port) != port:
        received = f"{port}, which is taken by {listener(port)}"
        raise InputError("a port must be free", received, "choose another port, or none to have one found")
    return port
