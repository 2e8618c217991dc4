"""One step, whoever takes it: dealt to two ranks, or to parts one after the other, it is the step of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import shared_steps
import torch
from pytorch_lightning.callbacks import Callback
from shared_steps import CASES, STEPS, Result, module_of, trained, trainer, weights

from models.lightning_checkpoints import Checkpoints

UNDISTURBED = [case for case in CASES if case != "disturbed"]


@pytest.fixture(scope="module")
def of_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    out, script = tmp_path_factory.mktemp("ranks") / "told", Path(shared_steps.__file__)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path]), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launcher, str(script), str(out), *CASES], env=env, check=True, timeout=200)
    return torch.load(out)


@cache
def of_one_process(case: str) -> Result:
    return trained(case)


def close(one: Result, other: Result) -> None:
    assert len(one[0]) == len(other[0]) == STEPS
    assert one[0] == pytest.approx(other[0], rel=2e-5)
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", UNDISTURBED)
def test_two_ranks_have_the_losses_and_the_weights_of_one_process(case: str, of_two_ranks: dict[str, Result]) -> None:
    close(of_two_ranks[case], of_one_process(case))


@pytest.mark.parametrize("case", UNDISTURBED)
def test_a_step_read_in_parts_has_the_losses_and_the_weights_of_the_whole(case: str) -> None:
    close(trained(case, accumulate=3), of_one_process(case))


def test_what_is_dropped_is_the_same_by_rank_and_by_part(of_two_ranks: dict[str, Result]) -> None:
    close(of_two_ranks["disturbed"], trained("disturbed", accumulate=2))
    assert of_two_ranks["disturbed"][0] != pytest.approx(of_one_process("disturbed")[0], rel=1e-3)


class Death(Callback):
    """Ends a training as its part number ``batch`` begins."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batch:
            raise InterruptedError


def test_a_training_that_dies_between_the_parts_of_a_step_goes_on_with_the_whole_step(tmp_path: Path) -> None:
    """Twice, the second time just after it was resumed: the checkpoint that it came from is still whole."""
    whole, resumed = module_of("forecast"), module_of("forecast")
    trainer(accumulate=2).fit(whole)
    path = None
    for batch in (2 * 3 + 1, 2 * 2 + 1):
        with pytest.raises(InterruptedError):
            trainer(accumulate=2, callbacks=[Death(batch), Checkpoints(tmp_path, 2, lambda file: None)]).fit(
                module_of("forecast"), ckpt_path=path
            )
        path = tmp_path / "last.ckpt"
    trainer(accumulate=2).fit(resumed, ckpt_path=path)
    assert torch.equal(weights(resumed), weights(whole))
