"""kopf as an informer: raw events in, caches and queue filled, and nothing else.

kopf's own create/update/timer handlers can lose work and put finalizers on objects; docs/decisions says what was
seen. `runtime` starts one informer for the core kinds and one for KServe's once they are installed.
"""

from distill_operator.handlers.events import Sink, keys_of
from distill_operator.handlers.informer import run_informer, watch_settings
from distill_operator.handlers.resync import SELECTORS, Lister

__all__ = ["SELECTORS", "Lister", "Sink", "keys_of", "run_informer", "watch_settings"]
