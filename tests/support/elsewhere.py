"""A device that is none of this machine's: its tensors refuse what those of a GPU refuse, and compute on the CPU.

An operation on tensors of two devices fails here as it would there; but for copies, indices, and a CPU's single number.
A process must have called ``register`` before its first backward pass: autograd counts the devices there, once for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "elsewhere"
COPIES = {"aten::_to_copy", "aten::copy_", "aten::to"}
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
OF_SEVERAL = {"aten::cat", "aten::stack"}
PACKS = {"aten::_pack_padded_sequence", "aten::_pad_packed_sequence"}
"""Lengths of rows and sizes of batches stay on the CPU."""


class Elsewhere(torch.Tensor):
    """Claims to lie on the device; its values are ``held`` by a tensor of the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        # A view of a parameter, made in inference mode, is none that autograd would take.
        with torch.inference_mode(False):
            made = torch.Tensor._make_wrapper_subclass(
                cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, device=torch.device(NAME, 0)
            )
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Elsewhere({self.held})"

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Makes what is created on the device a tensor of it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do ``func`` on the CPU and return its results where they belong.

    Raises:
        RuntimeError: the arguments lie on two devices.
    """
    given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    away = [one for one in given if isinstance(one, Elsewhere)]
    _check_together(func, args, given, away)
    asked = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.device)]
    there = bool(away) if not asked else asked[0].type == NAME
    held = tree_map_only(Elsewhere, lambda one: one.held, (args, kwargs))
    held_args, held_kwargs = tree_map_only(torch.device, lambda one: torch.device("cpu"), held)
    result = func(*held_args, **held_kwargs)
    if not there:
        return result
    if func._schema.name in PACKS:
        return Elsewhere(result[0]), result[1]
    if func._schema.name in COPIES and not away:
        return Elsewhere(result.clone())
    known = {id(one.held): one for one in away}
    return tree_map_only(torch.Tensor, lambda one: known[id(one)] if id(one) in known else Elsewhere(one), result)


def _check_together(func: Any, args: Any, given: list[torch.Tensor], away: list[Any]) -> None:
    name = func._schema.name
    if not away or name in COPIES | PACKS:
        return
    if (name, func._schema.overload_name) == ("aten::lstm", "data"):
        given = [one for one in given if one is not args[1]]
    if name in INDEXED and isinstance(args[0], Elsewhere):
        given = [args[0], *(one for one in args[2:] if isinstance(one, torch.Tensor))]
    here = [one for one in given if not isinstance(one, Elsewhere) and (one.dim() or name in OF_SEVERAL)]
    if here:
        raise RuntimeError(f"{name} on two devices: {NAME} {tuple(away[0].shape)}, cpu {tuple(here[0].shape)}")


def _lstm_cell(
    input_gates: torch.Tensor,
    hidden_gates: torch.Tensor,
    cell: torch.Tensor,
    input_bias: torch.Tensor | None = None,
    hidden_bias: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The cell that torch asks of a device that is no CPU."""
    gates = input_gates + hidden_gates
    for bias in (input_bias, hidden_bias):
        gates = gates if bias is None else gates + bias
    entered, kept, content, shown = gates.chunk(4, dim=1)
    cell = kept.sigmoid() * cell + entered.sigmoid() * content.tanh()
    return shown.sigmoid() * cell.tanh(), cell, gates


class _Module(_DummyBackendModule):
    """What ``torch.utils.checkpoint`` asks a device for: its random numbers are those of the CPU."""

    def device(self, number: int) -> AbstractContextManager[None]:
        return nullcontext()

    def get_rng_state(self, number: int = 0) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, number: int = 0) -> None:
        torch.set_rng_state(state)

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def register() -> None:
    """Make the device known to this process.

    A module's parameters are then replaced when it moves, and ``torch.tensor`` copies to the device as all else does.
    """
    _setup_privateuseone_for_python_backend(NAME, _Module())
    _library.impl("_thnn_fused_lstm_cell", _lstm_cell, "AutogradPrivateUse1")
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)


@contextmanager
def device() -> Iterator[torch.device]:
    """Yield the device, on which tensors can be created within the block."""
    with _Mode():
        yield torch.device(NAME, 0)


_library = torch.library.Library("aten", "IMPL")
