"""Experiment files: the parameters of the flow ``pipeline`` written as YAML; every breach named by key, none silent."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tasks.errors import InputError, InputErrors, shortened
from tasks.schedule import Schedule


def read(path: Path) -> dict[str, Any]:
    """Return the mapping that the YAML file at ``path`` holds.

    Raises:
        InputError: it is missing, unreadable, not YAML, or not a mapping with unique keys.
    """
    rule = "an experiment is a readable YAML file"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [one.name for one in path.parent.glob("*.y*ml")], n=1)
        hint = f"did you mean {path.parent / near[0]}?" if near else "give the path of an existing file"
        raise InputError(rule, f"no file at {path}", hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(rule, f"{path}: {error}", "give a UTF-8 text file that this user may read") from None
    content = parse(text, str(path))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        received = "an empty file" if content is None else f"{type(content).__name__} in {path}"
        raise InputError("an experiment is a mapping", received, "write at least the sections 'data:' and 'problem:'")
    return content


def parameters(content: Mapping[str, Any], function: Callable[..., Any]) -> tuple[dict[str, Any], Schedule | None]:
    """Return the ``content`` of a file as typed parameters of the flow ``function``, and when it is to run again.

    Raises:
        InputErrors: one for each key that is wrong.
    """
    when = (Schedule, Field(None, description="when the model is trained again"))
    found = validate(content, function, schedule=when)
    schedule = found.pop("schedule", None)
    return found, schedule


def validate(values: Mapping[str, Any], function: Callable[..., Any], **further: Any) -> dict[str, Any]:
    """Return ``values`` as the typed parameters of ``function``, and of ``further`` fields as pydantic defines them.

    Raises:
        InputErrors: one for each key that is wrong.
    """
    model = _model(function, **further)
    try:
        valid = model.model_validate(dict(values))
    except ValidationError as error:
        raise InputErrors("the experiment is wrong", breaches(error, model)) from None
    return {name: getattr(valid, name) for name in valid.model_fields_set}


def breaches(error: ValidationError, model: type[BaseModel]) -> list[InputError]:
    """Return what ``error`` found in a ``model`` as one InputError for each key.

    Of a union, the form that was meant is the one whose own keys are named, or that of which a validator has said more.
    """
    found: dict[str, list[InputError]] = {}
    told = [(*_locate(detail["loc"], model), detail) for detail in error.errors(include_url=False)]
    explained = {key for key, _, detail in told if _explanation(detail)}
    for key, owner, detail in told:
        if key in explained and not _explanation(detail):
            continue
        found.setdefault(key, []).append(_breach(key, owner, detail))
    deeper = {key: any(other.startswith(f"{key}.") for other in found) for key in found}
    return [_joined(several) for key, several in found.items() if not deeper[key]]


def _explanation(detail: Mapping[str, Any]) -> InputError | None:
    """Return what a validator of Carousel said, which knows better than pydantic what may be shown."""
    said = (detail.get("ctx") or {}).get("error")
    return said if isinstance(said, InputError) else None


def _breach(key: str, owner: type[BaseModel], detail: Mapping[str, Any]) -> InputError:
    if (said := _explanation(detail)) is not None:
        return InputError(f"{key}: {said.rule}", said.received, said.remedy)
    name = key.rpartition(".")[2].partition("[")[0]
    field = owner.model_fields.get(name)
    if field is None and detail["type"] == "extra_forbidden":
        known = list(owner.model_fields)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        remedy = f"did you mean {' or '.join(near)}?" if near else "remove it"
        return InputError(
            f"{key}: no such parameter", shortened([repr(name)]), f"{remedy} Known here: {', '.join(known)}"
        )
    if detail["type"].startswith("union_tag"):
        return _untold(key, field.annotation if field else None, detail)
    purpose = field.description if field and field.description else (field.title or "" if field else "")
    if detail["type"] == "missing":
        return InputError(
            f"{key}: must be given", "nothing", f"add the key {key}" + (f". {purpose}" if purpose else "")
        )
    rule = re.sub(r"^Value error, |^\w+ should", lambda found: "must" if "should" in found[0] else "", detail["msg"])
    return InputError(f"{key}: {rule}", _shown(detail["input"]), _remedy(detail, purpose))


def _untold(key: str, forms: Any, detail: Mapping[str, Any]) -> InputError:
    """Return the breach of a section that must say which form it has, and does not."""
    kinds = [str(form.model_fields["kind"].default) for form in _members(forms) if "kind" in form.model_fields]
    said = (detail.get("ctx") or {}).get("tag")
    near = difflib.get_close_matches(str(said), kinds, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"add the key {key}.kind with one of them"
    return InputError(f"{key}.kind: must be one of {', '.join(kinds)}", repr(said) if said else "nothing", remedy)


def _remedy(detail: Mapping[str, Any], purpose: str) -> str:
    choices = (detail.get("ctx") or {}).get("expected")
    if choices and isinstance(detail["input"], str):
        near = difflib.get_close_matches(
            detail["input"], [word.strip("'") for word in choices.split() if "'" in word], n=1
        )
        return f"did you mean {near[0]}?" if near else f"choose {choices}"
    return f"change it. {purpose}" if purpose else "change it to what the rule says"


def _joined(several: list[InputError]) -> InputError:
    """Return one breach for a key whose type is a union: each of its forms has complained."""
    first = several[0]
    if len(several) == 1:
        return first
    key = first.rule.partition(": ")[0]
    rules = dict.fromkeys(one.rule.partition(": ")[2] for one in several)
    return InputError(f"{key}: {', or '.join(rules)}", first.received, first.remedy)


def _locate(location: Sequence[int | str], model: type[BaseModel]) -> tuple[str, type[BaseModel]]:
    """Return the key that pydantic's ``location`` means, without the tags of unions, and the model that owns it."""
    key, owner = "", model
    annotation: Any = None
    inside: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif inside is not None and part in inside.model_fields:
            key, owner, annotation = f"{key}.{part}", inside, inside.model_fields[part].annotation
            inside = annotation if _is_model(annotation) else None
        elif (member := _member(annotation, part)) is not None and inside is None:
            inside = member
        elif inside is not None and part == location[-1]:
            key, owner = f"{key}.{part}", inside
    return key.lstrip("."), owner


def _member(annotation: Any, tag: str) -> type[BaseModel] | None:
    """Return the model of the union ``annotation`` that pydantic calls ``tag``: its name, or its ``kind``."""
    for member in _members(annotation):
        kind = member.model_fields.get("kind")
        if member.__name__ == tag or (kind and kind.default == tag):
            return member
    return None


def _members(annotation: Any) -> Iterator[type[BaseModel]]:
    if _is_model(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _members(argument)


def _is_model(annotation: Any) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _model(function: Callable[..., Any], **further: Any) -> type[BaseModel]:
    """Return a model with ``further`` fields and one for each parameter of ``function``, as its docstring has it."""
    from prefect.utilities.callables import parameter_docstrings

    described = parameter_docstrings(inspect.getdoc(function))
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (parameter.annotation, Field(default, description=described.get(name)))
    return create_model("Experiment", __config__=ConfigDict(extra="forbid"), **fields, **further)


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the loss of its first value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key, (place, _) in zip(keys, node.value, strict=True):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", place.start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str, source: str) -> Any:
    """Return what the YAML ``text`` says; ``source`` is what messages call it.

    Raises:
        InputError: it is not YAML, or has a key twice.
    """
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506
    except yaml.YAMLError as error:
        raise InputError(
            f"{source} must be valid YAML",
            " ".join(str(error).split()),
            "mend the line; quote text that holds ': ' or '#'",
        ) from None
