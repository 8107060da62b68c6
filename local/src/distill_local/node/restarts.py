"""When a container is started again, and after how long: pure.

`runner` asks after each end of a container.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from distill_local.node.model import Terminated

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 300.0
_FORGIVEN_AFTER = 600.0


def wanted(policy: str, ended: Terminated) -> bool:
    """Tell whether a restart policy starts a container again that ended like this."""
    return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)


@dataclass(frozen=True)
class Backoff:
    """How long the next restart waits: not at all at first, then 10 s, 20 s … 300 s."""

    delay: float = 0.0

    def after(self, ran_seconds: float) -> Backoff:
        """Return the delay after one more end; one that ran 10 minutes is forgiven its past."""
        if ran_seconds >= _FORGIVEN_AFTER:
            return Backoff(_FIRST_DELAY)
        return replace(self, delay=min(max(self.delay * 2, _FIRST_DELAY), _LONGEST_DELAY))
