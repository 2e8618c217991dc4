"""One thread: tiny tensors gain nothing from more, and a thread that waits for a core costs much."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
