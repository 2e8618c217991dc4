"""Signs of life of a worker for the trial that it holds, by the database's clock: who gives none has lost the trial."""

from __future__ import annotations

import logging
import threading

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from tasks.studies import BEAT

_log = logging.getLogger("carousel.search")


class SignsOfLife:
    """A thread that signs every ``BEAT`` seconds for the trial that the worker holds."""

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage
        self._held: int | None = None
        threading.Thread(target=self._keep, name="signs of life", daemon=True).start()

    def of(self, trial_id: int | None) -> None:
        """Sign for this trial from now on; None: for none."""
        self._held = trial_id
        if trial_id is not None:
            self._storage.record_heartbeat(trial_id)

    def _keep(self) -> None:
        pause = threading.Event()
        while not pause.wait(BEAT):
            if (held := self._held) is None:
                continue
            try:
                self._storage.record_heartbeat(held)
            except (SQLAlchemyError, StorageInternalError) as error:
                _log.warning("no sign of life for a trial, the database is away: %s", type(error).__name__)
