"""What the commands of ``carousel`` share: their options, and the environment that each begins with."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tasks.environment import Environment

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT.yaml", help="Parameters of the flow 'pipeline' as YAML.")
]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="NAME (its champion), NAME@ALIAS or NAME/VERSION.")]
Host = Annotated[str, typer.Option(help="Where to listen; beyond this machine only with CAROUSEL_AUTH.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the logs of all libraries.")]


def environment_for(verbose: bool) -> Environment:
    """Return the environment, once what the libraries read at import is set."""
    from tasks.environment import environment, quiet

    if verbose:
        os.environ["CAROUSEL_VERBOSE"] = "1"
    else:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        warnings.simplefilter("ignore")
    env = environment()
    quiet(env)
    return env
