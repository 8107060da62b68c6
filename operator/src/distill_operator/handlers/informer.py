"""kopf, set up to watch and to do nothing by itself.

Each setting that differs from kopf's default says why. Measured with kopf 1.45.2.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import kopf

from distill_operator.handlers.events import Sink
from distill_operator.handlers.resync import SELECTORS
from distill_operator.kinds import Kind
from distill_operator.settings import Settings

BACKOFF_CAP = 30.0


class EndlessBackoff:
    """Growing, jittered delays without an end: kopf's default gives up after 54 s, and the process with it."""

    def __iter__(self) -> Iterator[float]:
        delay = 1.0
        while True:
            yield delay * random.uniform(0.5, 1.0)
            delay = min(delay * 2, BACKOFF_CAP)


def watch_settings(kinds: tuple[Kind, ...]) -> kopf.OperatorSettings:
    """kopf's settings for an informer."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # our Events come after our status
    settings.scanning.disabled = True  # no rights on all CRDs and namespaces needed
    settings.peering.standalone = True  # kopf's peering is no leader election: a Lease of our own is
    settings.queueing.worker_limit = None  # a limit below the count of objects deadlocks the start
    settings.watching.server_timeout = 600  # the defaults are None: a silent watch would hang for ever
    settings.watching.client_timeout = 660
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = EndlessBackoff()
    settings.persistence.finalizer = (
        "distillation.dev/unused"  # none is ever set; not kopf's name, should one be
    )
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="distillation.dev")
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="distillation.dev")
    for kind in kinds:
        if kind in SELECTORS:
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = SELECTORS[kind]
    return settings


def registry_of(kinds: tuple[Kind, ...], sink: Sink) -> kopf.OperatorRegistry:
    """Handlers of raw events, one per kind: they cannot fail, and kopf writes nothing for them."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login)
    for kind in kinds:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(
            _handler(kind, sink)
        )
    return registry


async def run_informer(
    kinds: tuple[Kind, ...], sink: Sink, settings: Settings, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    """Watch `kinds` until `stop`. Ends with an exception where a watch fails beyond all back-offs."""
    where: dict[str, Any] = (
        {"namespaces": settings.namespaces} if settings.namespaces else {"clusterwide": True}
    )
    # kopf would look up the user's name, which a container's user often has none of.
    where["identity"] = settings.pod_name
    await kopf.operator(
        registry=registry_of(kinds, sink),
        settings=watch_settings(kinds),
        stop_flag=stop,
        ready_flag=ready,
        **where,
    )


def _handler(kind: Kind, sink: Sink) -> Any:
    async def take(event: Any, **_: Any) -> None:
        sink.take(kind, event["type"], event["object"])

    return take


def _login(**kwargs: Any) -> Any:
    """The pod's ServiceAccount; a kubeconfig outside of a cluster."""
    pod = kopf.login_with_service_account(**kwargs)
    if pod is None:
        return kopf.login_with_kubeconfig(**kwargs)
    # By address, as every in-cluster client does: kopf takes a name, which needs the cluster's DNS to be well.
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return replace(pod, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")
