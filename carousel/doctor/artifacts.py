"""Whether a run on this machine could log an artifact: one is written where an experiment's runs keep theirs.

It is written beside the runs, under a name that nothing else has, by the client that a run would use, and deleted.
No run and no experiment is made for it: MLflow keeps the names of those that are deleted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from carousel.doctor.findings import Fault, Found, broken, told

_MOST = 3
_RULE = "runs on this machine must be able to write artifacts"


def written(uri: str, *, remote: bool) -> Found:
    """Write and delete an artifact below each root of the experiments at ``uri``, a server or a database.

    Args:
        uri: MLflow's tracking URI.
        remote: whether the server is another machine, so that a path of its own may be none of this one.
    """
    from mlflow import MlflowClient

    found = MlflowClient(uri).search_experiments(max_results=100, order_by=["last_update_time DESC"])
    # One experiment for each root; what is newest is what runs will use.
    roots = {location.rpartition("/")[0]: location for location in reversed([one.artifact_location for one in found])}
    for root, location in list(roots.items())[-_MOST:]:
        fault = _foreign(root) if remote else None
        yield fault or _unwritten(uri, location) or f"artifacts written to {root or location}"


def _foreign(root: str) -> Fault | None:
    """Say whether ``root`` is a path of the server's machine that does not exist on this one."""
    parts = urlsplit(root)
    if parts.scheme not in ("", "file") or Path(parts.path).is_dir():
        return None
    remedy = (
        "start MLflow's server with --serve-artifacts or an object store as its artifact root, or mount the path here"
    )
    return broken(_RULE, f"{root}, a path of the server's machine that this one does not have", remedy)


def _unwritten(uri: str, location: str) -> Fault | None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    name = f"doctor-{uuid4().hex}"
    remedy = f"give this user and its credentials the right to write and delete below {location}"
    step = "write"
    try:
        artifacts = get_artifact_repository(f"{location}/{name}", tracking_uri=uri)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "well.txt"
            file.write_text("carousel doctor")
            artifacts.log_artifact(str(file))
        step = "read"
        if [one.path for one in artifacts.list_artifacts()] != ["well.txt"]:
            return broken(_RULE, f"{location} does not show what was written", remedy)
        step = "delete"
        artifacts.delete_artifacts()
    except Exception as error:
        return broken(_RULE, f"cannot {step} at {location}: {type(error).__name__}: {told(error)}", remedy)
    return None
