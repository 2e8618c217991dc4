"""What every stage's Config shares: it is frozen, and a key that it does not know is refused by name."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Config(BaseModel):
    """Base of all Configs."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Columns = Annotated[list[str], BeforeValidator(_listed)]
"""Column names; a single one may be written without a list."""

Duration = Annotated[str, StringConstraints(pattern=r"^(\d+(\.\d+)?(s|m|h|d))+$")]
"""A length of time such as ``90s``, ``2m`` or ``1h30m``."""


class Choice:
    """Marks a union whose members a tag tells apart: its JSON schema says ``anyOf``, not ``oneOf``.

    Both mean the same here, and Prefect's form draws fields for the first alone.
    """

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        told = handler(schema)
        told["anyOf"] = told.pop("oneOf")
        told.pop("discriminator", None)
        return told


class Tabs:
    """Marks a value that may be None: Prefect's form draws a tab for each of its forms and one for None.

    Args:
        none: what the tab for None is called.
        form: what the other one is called; Configs have a title of their own. It is empty when it is chosen: a
            default of a form makes Prefect go back to None.
    """

    def __init__(self, none: str, form: str = "") -> None:
        self.none, self.form = none, form

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        told = handler(schema)
        for form in told["anyOf"]:
            if form.get("type") == "null":
                form["title"] = self.none
            elif self.form:
                form["title"] = self.form
        return told


def titled(title: str) -> Any:
    """Give a flow's parameter a title in Prefect's form, which would show its name instead."""
    return Field(json_schema_extra={"title": title})


def seconds(duration: Duration) -> float:
    """Return ``duration`` in seconds."""
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)([smhd])", duration))
