"""The xLSTM's cells: the fast paths equal the readable equations, values, states and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.cores.mlstm import read_memory
from models.cores.reference import mlstm_step, slstm_step
from models.cores.slstm import SLSTM, scan
from models.cores.xlstm import XLSTMConfig

B, T, K, D = 3, 9, 2, 4
LENGTHS = torch.tensor([9, 1, 5])


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    values = scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.requires_grad_()


def mlstm_inputs(scale: float = 2.0) -> list[torch.Tensor]:
    """Return q, k, v and the two gates before their non-linearity."""
    vectors = [draw(B, K, T, D, seed=seed) for seed in range(3)]
    return vectors + [draw(B, K, T, seed=seed, scale=scale) for seed in (3, 4)]


def mlstm_by_hand(inputs: list[torch.Tensor], state: Any = None) -> tuple[torch.Tensor, list[Any]]:
    """Return every step's output, and the memory and normaliser after every step."""
    C, n = (torch.zeros(B, K, D, D).double(), torch.zeros(B, K, D).double()) if state is None else state
    outputs, states = [], []
    for t in range(T):
        h, C, n = mlstm_step(*(tensor[:, :, t] for tensor in inputs), C, n)
        outputs.append(h)
        states.append((C, n))
    return torch.stack(outputs, dim=2), states


def mlstm_fast(inputs: list[torch.Tensor], **others: Any) -> tuple[torch.Tensor, Any]:
    return read_memory(*inputs[:4], torch.nn.functional.logsigmoid(inputs[4]), **others)


def carried() -> tuple[Any, Any]:
    """Return a state of the mLSTM with its stabiliser, and the same without."""
    C, n, m = draw(B, K, D, D, seed=7), draw(B, K, D, seed=8), draw(B, K, seed=9).detach()
    return (C, n, m), (C * m.exp()[..., None, None], n * m.exp()[..., None])


@pytest.mark.parametrize("onwards", [False, True])
def test_the_mlstm_of_all_steps_at_once_equals_the_readable_step(onwards: bool) -> None:
    state, plain = carried() if onwards else (None, None)
    inputs = mlstm_inputs()
    h, (C, n, m) = mlstm_fast(inputs, state=state)
    expected, states = mlstm_by_hand(inputs, plain)
    torch.testing.assert_close(h, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(C * m.exp()[..., None, None], states[-1][0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(n * m.exp()[..., None], states[-1][1], rtol=1e-10, atol=1e-12)


def test_the_mlstm_keeps_the_state_of_each_rows_last_step() -> None:
    inputs = mlstm_inputs()
    _, (C, n, m) = mlstm_fast(inputs, lengths_B=LENGTHS)
    _, states = mlstm_by_hand(inputs)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(C[row] * m[row].exp()[:, None, None], states[length - 1][0][row])
        torch.testing.assert_close(n[row] * m[row].exp()[:, None], states[length - 1][1][row])


def test_the_gradient_of_the_mlstm_equals_that_of_the_readable_step() -> None:
    inputs = mlstm_inputs()
    state, plain = carried()
    h, (C, n, m) = mlstm_fast(inputs, state=state)
    ours = torch.autograd.grad(scalar([h, C * m.exp()[..., None, None], n * m.exp()[..., None]]), [*inputs, *state[:2]])
    expected, states = mlstm_by_hand(inputs, plain)
    theirs = torch.autograd.grad(scalar([expected, *states[-1]]), [*inputs, *state[:2]])
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def scalar(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Weigh every entry differently, so that no error cancels."""
    return sum((t * draw(*t.shape, seed=11).detach()).sum() for t in tensors)  # type: ignore[return-value]


def slstm_inputs() -> tuple[torch.Tensor, torch.Tensor]:
    return draw(T, K, B, 4 * D, scale=2.0), draw(K, D, 4 * D, seed=1)


def slstm_by_hand(pre: torch.Tensor, recurrent: torch.Tensor, state: Any) -> list[Any]:
    """Return h, c and n after every step, as ``[K, B, D]``, from those before."""
    h, c, n = (tensor.transpose(0, 1) for tensor in state)
    weights = torch.stack(recurrent.chunk(4, dim=2))
    states = []
    for t in range(T):
        h, c, n = slstm_step(torch.stack(pre[t].transpose(0, 1).chunk(4, dim=2)), h, c, n, weights)
        states.append(tuple(tensor.transpose(0, 1) for tensor in (h, c, n)))
    return states


def slstm_state(onwards: bool) -> tuple[Any, Any]:
    """Return a state with its stabiliser, and the same without."""
    if not onwards:
        zeros = torch.zeros(K, B, D, dtype=torch.float64, requires_grad=True)
        return (zeros, zeros, zeros, torch.full_like(zeros, -torch.inf)), (zeros, zeros, zeros)
    h, c, m = (draw(K, B, D, seed=seed) for seed in (5, 6, 7))
    n, m = (1 + draw(K, B, D, seed=8).square()).detach().requires_grad_(), m.detach()
    return (h, c, n, m), (h, c * m.exp(), n * m.exp())


@pytest.mark.parametrize("onwards", [False, True])
def test_the_slstm_equals_the_readable_step_with_its_gradient(onwards: bool) -> None:
    pre, recurrent = slstm_inputs()
    state, plain = slstm_state(onwards)
    h, c, n, m = (torch.stack(tensors) for tensors in zip(*scan(pre, recurrent, *state), strict=True))
    fast = [h, c * m.exp(), n * m.exp()]
    slow = [torch.stack(tensors) for tensors in zip(*slstm_by_hand(pre, recurrent, plain), strict=True)]
    torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-12)
    wanted = [pre, recurrent, *(state[:3] if onwards else [])]
    ours, theirs = (torch.autograd.grad(scalar(tensors), wanted) for tensors in (fast, slow))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_heads_of_the_slstm_do_not_read_each_other() -> None:
    layer = SLSTM(K * D, K).double()
    x = draw(B, T, K * D)
    h_BTKD, _ = layer(x, None, None)
    (gradient,) = torch.autograd.grad(h_BTKD[:, :, 0].sum(), layer.recurrent_KDG)
    assert gradient[0].any()
    assert not gradient[1].any()


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_gates_far_out_of_the_exponentials_range_stay_finite(size: float) -> None:
    pre = (size * draw(T, K, B, 4 * D).detach().float()).requires_grad_()
    state = tuple(tensor.detach().float() for tensor in slstm_state(False)[0])
    h, *_ = scan(pre, draw(K, D, 4 * D).detach().float(), *state)[-1]
    inputs = [t.detach().float().requires_grad_() for t in mlstm_inputs()[:3]]
    gates = [(size * t).detach().float().requires_grad_() for t in mlstm_inputs()[3:]]
    read, _ = mlstm_fast([*inputs, *gates])
    for output, leaves in ((h, [pre]), (read, [*inputs, *gates])):
        assert output.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(output.sum(), leaves))


def test_heads_that_do_not_divide_the_hidden_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_heads must divide hidden_size 10 \(got 4\): change one"):
        XLSTMConfig(hidden_size=10, num_heads=4)
