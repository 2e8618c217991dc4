"""The version that is served: loaded from JSON and tensors, and replaced as soon as its alias goes to another.

Nothing of an artifact runs: the weights are put into the classes of this installation. A version is loaded and has
predicted its own example before it takes the place of the one before, in one assignment; a request keeps the version
that it began with. What cannot be loaded does not take that place.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks import registry
from tasks.errors import InputError
from tasks.kinds.registry import kind
from tasks.references import ModelVersion

if TYPE_CHECKING:
    from mlflow.types import Schema

LOOK_SECONDS = 2.0
logger = logging.getLogger("carousel.serve")


@dataclass(frozen=True)
class Served:
    """A version that has predicted: ``model`` is a pyfunc, ``schema`` what it takes."""

    version: ModelVersion
    schema: Schema
    model: Any

    @property
    def name(self) -> str:
        return f"{self.version.name}/{self.version.version}"


def load(version: ModelVersion, most_steps: int | None = None) -> Served:
    """Load ``version`` and let it predict its example.

    Args:
        version: in the registry.
        most_steps: what an item of a request may have.

    Raises:
        InputError: it was not registered by Carousel, or its files are not what Carousel wrote.
    """
    bundle = registry.load_bundle(version)
    served = kind(bundle.kind)
    example, signature = served.signature({"facts": bundle.facts.model_dump(mode="json")})
    model = served.served(bundle, most_steps)
    model.predict(None, example)
    return Served(version, signature.inputs, model)


class Watch:
    """Keeps the version loaded that ``model`` names: NAME (its champion), NAME@ALIAS or NAME/VERSION.

    ``current`` is None until one is loaded; ``trouble`` says why the newest could not be found or loaded.
    """

    def __init__(self, model: str, most_steps: int | None = None, every: float = LOOK_SECONDS) -> None:
        self.model, self.most_steps, self.every = model, most_steps, every
        self.current: Served | None = None
        self.trouble: str | None = None
        self._refused: ModelVersion | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="carousel-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns once a look that goes on has ended."""
        self._ended.set()
        self._thread.join()

    def look(self) -> None:
        """Find the version, and load it if it is another than the one that is served."""
        try:
            found = registry.resolve(self.model)
            if self.current is None or _differs(found, self.current.version):
                self._take(found)
            else:
                self.trouble = None
        except Exception as error:
            # The registry is away or a version is broken: what is loaded goes on.
            self._tell(f"{type(error).__name__}: {error}")

    def _take(self, found: ModelVersion) -> None:
        if self._refused is not None and not _differs(found, self._refused):
            return
        try:
            self.current = load(found, self.most_steps)
        except InputError:
            self._refused = found
            raise
        self.trouble = self._refused = None
        logger.info("serving %s", self.current.name)

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            logger.warning("%s; %s", trouble, f"{self.current.name} stays" if self.current else "nothing is served")
        self.trouble = trouble

    def _go_on(self) -> None:
        self.look()
        while not self._ended.wait(self.every):
            self.look()


def _differs(one: ModelVersion, other: ModelVersion) -> bool:
    return (one.name, one.version, one.fingerprint) != (other.name, other.version, other.fingerprint)
