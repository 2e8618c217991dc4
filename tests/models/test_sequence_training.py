"""One training whoever runs it, and what truncated back-propagation keeps and cuts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sequence_cases import CASES, UNDISTURBED, make_arrays, make_facts, make_model

from models.batching import TokenBatches
from models.sequence_model import NEIGHBOURS, SequenceFacts, SequenceModel
from models.sequence_training import REPLICATION, SequenceTrainingConfig, losses, share_of, training_of
from models.sequences import Batch, SequenceArrays

CPU = torch.device("cpu")
CONFIG = SequenceTrainingConfig(steps=6, batch_size=8)
STEPWISE = [case for case in CASES if case[0] in ("tag", "transcribe")]


def case(kind: str, given: str, chunk_length: int = 1000, **sizes: int) -> tuple[SequenceFacts, SequenceArrays]:
    facts, arrays = make_arrays(kind, given, **sizes)
    return make_facts(kind, facts, arrays, chunk_length), arrays


def batches_of(model: SequenceModel, arrays: SequenceArrays, config: SequenceTrainingConfig) -> TokenBatches:
    return TokenBatches.sized(arrays.lengths(model.config.input.view), config.batch_size, seed=0)


def trained(
    facts: SequenceFacts, arrays: SequenceArrays, config: SequenceTrainingConfig, **preset: Any
) -> tuple[torch.Tensor, list[float]]:
    model = make_model(facts, **preset)
    training = training_of(model, arrays, batches_of(model, arrays, config), config, CPU)
    told = [loss for _, loss in training.run()]
    return weights(training.average), told


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(("kind", "given"), CASES)
@pytest.mark.parametrize("chunk_length", [1000, 7])
def test_a_training_learns_its_items_by_heart(kind: str, given: str, chunk_length: int) -> None:
    facts, arrays = case(kind, given, chunk_length, count=6)
    config = SequenceTrainingConfig(steps=150, learning_rate=0.01, batch_size=6)
    preset = UNDISTURBED | {"head_mlp_size": 0, "time_reduction": 1, "label_smoothing": 0.0, "layer_norm": False}
    _, told = trained(facts, arrays, config, **preset)
    assert np.mean(told[-5:]) < 0.35 * np.mean(told[:5])


@pytest.mark.parametrize("chunk_length", [1000, 4])
def test_a_training_is_repeatable_to_the_last_bit(chunk_length: int) -> None:
    facts, arrays = case("classify", "numeric", chunk_length)
    one, other = (trained(facts, arrays, CONFIG) for _ in range(2))
    assert one[1] == other[1]
    assert torch.equal(one[0], other[0])


CHANGES: dict[str, Any] = {
    "steps": 7,
    "learning_rate": 1e-3,
    "weight_decay": 0.5,
    "batch_size": 16,
    "grad_clip": 0.01,
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_of_the_training_config_changes_the_training(field: str) -> None:
    facts, arrays = case("classify", "numeric")
    changed = CONFIG.model_copy(update={field: CHANGES[field]})
    assert not torch.equal(trained(facts, arrays, CONFIG)[0], trained(facts, arrays, changed)[0])


def test_no_field_of_the_training_config_is_left_untested() -> None:
    assert set(SequenceTrainingConfig.model_fields) == set(CHANGES)


def lightning_module(facts: SequenceFacts, arrays: SequenceArrays) -> Any:
    from models.lightning_sequence import LightningSequence

    model = make_model(facts)
    return LightningSequence(model, arrays, batches_of(model, arrays, CONFIG), CONFIG)


def lightning_trainer(steps: int, **options: Any) -> Any:
    import pytorch_lightning as lightning

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    return lightning.Trainer(
        accelerator="cpu",
        max_steps=steps,
        gradient_clip_val=CONFIG.grad_clip,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


@pytest.mark.parametrize(("kind", "given"), [("classify", "numeric"), ("tag", "numeric"), ("transcribe", "audio")])
@pytest.mark.parametrize("chunk_length", [1000, 4])
def test_lightning_trains_the_weights_that_the_bare_loop_does(kind: str, given: str, chunk_length: int) -> None:
    facts, arrays = case(kind, given, chunk_length, count=10)
    bare, _ = trained(facts, arrays, CONFIG)
    module, trainer = lightning_module(facts, arrays), lightning_trainer(CONFIG.steps)
    trainer.fit(module)
    assert trainer.global_step == CONFIG.steps
    torch.testing.assert_close(weights(module.average), bare, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("kind", "given"), [("classify", "text"), ("transcribe", "audio")])
def test_a_resumed_training_ends_with_the_weights_of_one_that_was_never_stopped(
    kind: str, given: str, tmp_path: Path
) -> None:
    facts, arrays = case(kind, given, count=10)
    whole, stopped, resumed = (lightning_module(facts, arrays) for _ in range(3))
    lightning_trainer(CONFIG.steps).fit(whole)
    first = lightning_trainer(4)
    first.fit(stopped)
    first.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(99)
    lightning_trainer(CONFIG.steps).fit(resumed, ckpt_path=tmp_path / "last.ckpt")
    assert torch.equal(weights(resumed.model), weights(whole.model))
    assert torch.equal(weights(resumed.average), weights(whole.average))


def test_variants_are_drawn_by_step_alone_and_only_where_the_point_wants_them() -> None:
    facts, arrays = case("classify", "audio")
    drawn = []
    for wanted in (True, True, False):
        model = make_model(facts, speed_perturbation=wanted)
        batches = batches_of(model, arrays, CONFIG)
        drawn.append([share_of(model, arrays, batches, step)[0].lengths_B.tolist() for step in (4, 0, 2)])
        own = [arrays.lengths("fbank")[batches.batch(step)].tolist() for step in (4, 0, 2)]
        assert (drawn[-1] == own) == (not wanted)
    assert drawn[0] == drawn[1]


def long_batch(kind: str, given: str, chunk_length: int, seed: int = 0) -> tuple[SequenceModel, Batch]:
    facts, arrays = case(kind, given, chunk_length, count=8, shortest=3, longest=40)
    preset = UNDISTURBED | {"dropout": 0.0, "label_smoothing": 0.0}
    model = make_model(facts, seed, **preset)
    return model, arrays.batch(np.arange(8), model.config.input.view, None)


@pytest.mark.parametrize(("kind", "given"), STEPWISE)
@pytest.mark.parametrize("seed", range(3))
def test_chunks_of_a_head_that_scores_every_step_have_the_loss_of_the_whole(kind: str, given: str, seed: int) -> None:
    model, batch = long_batch(kind, given, 7, seed)
    chunked = sum(losses(model, batch))
    scores, lengths_B = model(batch.values, batch.lengths_B)
    whole = model.head.loss(scores, lengths_B, batch.target, batch.target_lengths_B)
    torch.testing.assert_close(chunked, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("given", ["numeric", "text"])
def test_chunks_of_a_pooled_head_weigh_the_last_prediction_and_those_before(given: str) -> None:
    model, batch = long_batch("classify", given, 7)
    total = sum(loss.item() for loss in losses(model, batch))
    expected = []
    for row, length in enumerate(batch.lengths_B.tolist()):
        ends = [*range(7, length, 7), length]
        told = []
        for end in ends:
            scores, lengths_B = model(batch.values[row : row + 1, :end], torch.tensor([end]))
            told.append(model.head.loss(scores, lengths_B, batch.target[row : row + 1], torch.tensor([1])).item())
        before = REPLICATION * np.mean(told[:-1]) if len(told) > 1 else 0.0
        expected.append((1 - REPLICATION if len(told) > 1 else 1.0) * told[-1] + before)
    assert total == pytest.approx(np.mean(expected), rel=1e-4)


def test_class_weights_count_in_chunks_as_in_the_whole() -> None:
    plain, batch = long_batch("classify", "numeric", 7)
    target = plain.facts.target.model_copy(update={"class_weights": [1.0, 1.0, 50.0]})
    weighted = SequenceModel(plain.config, plain.facts.model_copy(update={"target": target}))
    weighted.load_state_dict(plain.state_dict())
    weight_B = torch.tensor([1.0, 1.0, 50.0])[batch.target[:, 0]]
    alone_B = torch.tensor(
        [
            sum(loss.item() for loss in losses(plain, Batch(*(tensor[i : i + 1] for tensor in vars(batch).values()))))
            for i in range(len(weight_B))
        ]
    )
    total = sum(loss.item() for loss in losses(weighted, batch))
    assert total == pytest.approx(((weight_B * alone_B).sum() / weight_B.sum()).item(), rel=1e-4)
    assert total != pytest.approx(sum(loss.item() for loss in losses(plain, batch)), rel=1e-2)


def test_a_training_runs_in_mixed_precision_and_clips_its_gradients() -> None:
    facts, arrays = case("classify", "numeric", count=10)
    module = lightning_module(facts, arrays)
    before = weights(module.model)
    lightning_trainer(2, precision="bf16-mixed").fit(module)
    assert not torch.equal(weights(module.model), before)
    assert weights(module.model).isfinite().all()


def test_no_gradient_reaches_back_beyond_a_chunk() -> None:
    model, batch = long_batch("classify", "numeric", 12)
    values = batch.values.requires_grad_()
    for number, loss in enumerate(losses(model, batch)):
        (gradient,) = torch.autograd.grad(loss, values)
        start = 12 * number
        assert gradient[:, start : start + 12].any()
        assert not gradient[:, : max(0, start - NEIGHBOURS)].any()


@pytest.mark.parametrize(("kind", "given"), [("regress", "numeric"), ("tag", "numeric")])
def test_what_a_step_keeps_for_the_gradient_does_not_grow_with_length(kind: str, given: str) -> None:
    kept = []
    for steps in (200, 1000):
        facts, arrays = case(kind, given, 50, count=2, shortest=steps, longest=steps)
        model = make_model(facts, crf=False, num_layers=2, deltas=True, pooling="mean")
        kept.append(most_kept(model, arrays.batch(np.arange(2), model.config.input.view, None)))
    assert kept[1] < 1.05 * kept[0]


def most_kept(model: SequenceModel, batch: Batch) -> int:
    """Return the most bytes that autograd held at once for one loss, weights and the batch aside."""
    alive: dict[int, int] = {}
    most = 0

    class Held:
        def __init__(self, tensor: torch.Tensor) -> None:
            nonlocal most
            self.tensor = tensor
            alive[id(self)] = tensor.numel() * tensor.element_size()
            most = max(most, sum(alive.values()))

        def __del__(self) -> None:
            alive.pop(id(self), None)

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        for loss in losses(model, batch):
            loss.backward()
    return most
