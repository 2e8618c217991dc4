"""Where data come from: a path, a URL, a database's URI. ``${NAME}`` stands in it for a secret, never the secret.

An address is a parameter of runs, so it is kept wherever they are: in Prefect's database, in MLflow, beside the model.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from tasks.errors import InputError

_VARIABLE = r"\$\{\w+\}"
_PASSWORD = rf"[^/?#@:\[]*:(?!:)(?!(?:\d*|{_VARIABLE})(?:[/?#]|$))(?!{_VARIABLE}@)[^@]+@"
"""``user:password@``, whatever the password; ``host:80/a@b`` has none."""
_TOKEN = rf"[^#]*[?&](?:[\w-]*(?:[Pp]assword|[Ss]ecret|[Tt]oken|[Ss]ignature)|sig)=(?!{_VARIABLE}(?:[&#]|$))[^&#]"
SECRET = rf"://(?:{_PASSWORD}|{_TOKEN})"
"""What an address holds in which a password or a token is written out, as a regular expression."""


def check_address(text: str, key: str) -> str:
    """Return ``text``, the value of ``key``.

    Raises:
        InputError: a password or token is written out in it.
    """
    if re.search(SECRET, text):
        raise InputError(
            f"{key} must not hold a password or token",
            "one that is not shown",
            "write ${NAME} in its place and set that environment variable where the flow runs",
        )
    return text


def _without_secret(text: str) -> str:
    return check_address(text, "an address")


Address = Annotated[
    str,
    AfterValidator(_without_secret),
    # Prefect's server refuses what does not match, so that not even the run that would fail is kept.
    WithJsonSchema({"type": "string", "title": "Path or URL", "pattern": rf"^(?![\s\S]*{SECRET})"}),
]
"""A path, URL or URI in which no secret is written out."""
