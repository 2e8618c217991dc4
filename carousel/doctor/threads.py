"""Side by side, with an end: what hangs is left behind and keeps no process alive."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Thread


def side_by_side(actions: Sequence[Callable[[], None]], seconds: float) -> list[int]:
    """Run ``actions`` in threads of their own; return the places of those that are not done after ``seconds``."""
    threads = [Thread(target=action, daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [at for at, thread in enumerate(threads) if thread.is_alive()]
