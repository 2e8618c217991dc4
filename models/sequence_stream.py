"""A model of whole sequences that reads one as it comes: what is known after every step, in constant memory and time.

Shapes: n steps that have come, T steps before them that the input still looks at, X what a step of the view holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.cores.core import State
from models.objectives.registry import OBJECTIVES
from models.objectives.tag import TagHead
from models.pooling import Carried
from models.sequence_model import NEIGHBOURS, SequenceModel


class Stream:
    """One sequence that grows; ``state`` is the core's, ``carried`` the pooling's."""

    def __init__(self, model: SequenceModel) -> None:
        """Begin a sequence.

        Raises:
            ValueError: the model has to see the end of a sequence before it can say anything of the beginning.
        """
        if model.config.core.bidirectional:
            raise ValueError(
                "a streaming core must read one direction (got bidirectional=True): search with bidirectional: [false]"
            )
        if not model.facts.input.streams:
            given = model.facts.input.kind
            raise ValueError(f"a streamed input must be prepared step by step (got {given}): predict it whole")
        if isinstance(model.head, TagHead) and model.head.crf is not None:
            raise ValueError("a streamed tag must not depend on later ones (got crf=True): search with crf: [false]")
        self.model = model.eval()
        self.before: torch.Tensor | None = None
        self.state: State | None = None
        self.carried: Carried | None = None

    @torch.inference_mode()
    def step(self, raw: Any) -> np.ndarray:
        """Read what has come.

        Args:
            raw: a raw item of these steps alone, at least one: float64 ``[n, C]`` or a list of n tokens.

        Returns:
            The head's output: of everything so far where an item has one target, else of these n steps.
        """
        model = self.model
        view = model.config.input.view
        values = torch.from_numpy(np.ascontiguousarray(model.facts.input.encode(view, raw)))[None]
        outputs = [self._read(part) for part in values.to(self.device).split(model.chunk_length, dim=1)]
        return outputs[-1] if OBJECTIVES[model.facts.kind].pooled else np.concatenate(outputs)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _read(self, values_1nX: torch.Tensor) -> np.ndarray:
        model, known = self.model, 0 if self.before is None else self.before.shape[1]
        near_1TX = values_1nX if self.before is None else torch.cat([self.before, values_1nX], dim=1)
        near_1 = torch.tensor([near_1TX.shape[1]], device=self.device)
        h_1nR, lengths_1, self.state = model.read_chunk(near_1TX, near_1, known, self.state)
        self.before = near_1TX[:, -NEIGHBOURS:]
        if OBJECTIVES[model.facts.kind].pooled:
            scores, self.carried = model.pool_chunk(h_1nR, lengths_1, self.carried)
        else:
            scores = model.head(h_1nR, lengths_1)
        return model.head.outputs(scores, lengths_1)[0]
