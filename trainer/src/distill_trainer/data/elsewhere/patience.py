"""Trying again: what may pass is tried with longer and longer pauses, what may not is said at once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from distill_trainer.data.elsewhere.faults import permanent, reason
from distill_trainer.data.elsewhere.place import Place
from distill_trainer.errors import UserError

log = logging.getLogger(__name__)
TRIES = 5
FIRST_PAUSE = 1.0
"""Seconds before the second try; twice as many before each further one, a quarter more or less."""
_LOOK = 0.5
T = TypeVar("T")


class Ended(Exception):  # noqa: N818
    """The work is of no use any more: another part of it failed, or somebody asked to stop."""


@dataclass(frozen=True)
class Patience:
    """`check` is called before each try and in pauses, and ends the work by raising."""

    place: Place
    credentials: str
    check: Callable[[], None]

    def with_(self, work: Callable[[], T]) -> T:
        """What `work` gives. Raises UserError, and what `check` raises."""
        for tried in range(1, TRIES + 1):
            self.check()
            try:
                return work()
            except (UserError, Ended):
                raise
            except Exception as error:  # noqa: BLE001 - each library has its own kinds
                self._judge(error, tried)
            self._pause(FIRST_PAUSE * 2 ** (tried - 1) * random.uniform(0.75, 1.25))
        raise AssertionError("the last try returns or raises")

    def _judge(self, error: Exception, tried: int) -> None:
        mended = permanent(error, self.place, self.credentials)
        if mended is not None:
            raise mended from error
        if tried == TRIES:
            raise UserError(
                "FetchFailed",
                self.place.says(
                    f"it could not be fetched in {TRIES} tries ({reason(error)}): see that pods reach it (network policies, "
                    "proxy, AWS_ENDPOINT_URL) and start again"
                ),
            ) from error
        log.warning("%s: %s; try %d of %d follows", self.place.shown, reason(error), tried + 1, TRIES)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, _LOOK))
