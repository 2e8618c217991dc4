"""What a person triggers. Importing it keeps Prefect's state with the rest, and sends no telemetry."""

import contextlib
import os
from pathlib import Path

from tasks.environment import environment, quiet

quiet(environment())
# Prefect makes its home when it is imported, but not the directory above, and would warn; where it cannot, it does.
with contextlib.suppress(OSError):
    Path(os.environ["PREFECT_HOME"]).mkdir(mode=0o700, parents=True, exist_ok=True)
