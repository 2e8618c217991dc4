"""The peak of memory that no file backs, of a program in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def anonymous_peak(program: str, *arguments: object, home: Path) -> int:
    """Run ``program`` and return its most anonymous bytes, looked at every 5 ms; mapped files do not count."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {**os.environ, "CAROUSEL_HOME": str(home), "PREFECT_HOME": str(home)}
    with subprocess.Popen(command, env=environment) as process:
        status, peak = Path(f"/proc/{process.pid}/status"), 0
        while process.poll() is None:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            peak = max(peak, 1024 * int(fields.get("RssAnon", "0 kB").split()[0]))
            time.sleep(0.005)
    assert process.returncode == 0
    return peak
