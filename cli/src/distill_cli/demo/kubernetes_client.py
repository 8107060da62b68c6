"""What the demo reads from the API server, with the kubeconfig that `distill up` wrote."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client, config

from distill_api import GROUP, PLURAL, VERSION

T = TypeVar("T")


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to look at."""


class Reader:
    """Reads custom and built-in objects as plain dicts; what is not there is None."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api: client.ApiClient = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]
        self._custom = client.CustomObjectsApi(self._api)
        self._batch = client.BatchV1Api(self._api)
        self._core = client.CoreV1Api(self._api)

    def _get(self, call: Callable[..., Any], *args: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = call(*args)
        except client.ApiException as error:
            if error.status == 404:
                return None
            raise
        return found

    def distillation_job(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A DistillationJob."""
        return self._get(self._custom.get_namespaced_custom_object, GROUP, VERSION, namespace, PLURAL, name)

    def inference_service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """An InferenceService."""
        where = ("serving.kserve.io", "v1beta1", namespace, "inferenceservices", name)
        return self._get(self._custom.get_namespaced_custom_object, *where)

    def route(self, namespace: str, name: str) -> dict[str, Any] | None:
        """An HTTPRoute."""
        where = ("gateway.networking.k8s.io", "v1", namespace, "httproutes", name)
        return self._get(self._custom.get_namespaced_custom_object, *where)

    def batch_job(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A batch/v1 Job."""
        return self._plain(self._get(self._batch.read_namespaced_job, name, namespace))

    def volume_folder(self, namespace: str, claim: str) -> Path:
        """The folder behind a bound claim of the local cluster. Raises DemoError where there is none."""
        found = self._plain(self._get(self._core.read_namespaced_persistent_volume_claim, claim, namespace))
        volume = (found or {}).get("spec", {}).get("volumeName", "")
        behind = self._plain(self._get(self._core.read_persistent_volume, volume)) if volume else None
        if behind is None:
            raise DemoError(
                f"claim {claim} in {namespace} has no volume: kubectl describe pvc {claim} -n {namespace}"
            )
        return Path(behind["spec"]["local"]["path"])

    def _plain(self, found: Any) -> dict[str, Any] | None:
        plain: dict[str, Any] | None = self._api.sanitize_for_serialization(found)  # type: ignore[no-untyped-call]
        return plain


def wait_for(what: str, look: Callable[[], T | None], seconds: float = 300) -> T:
    """Look until something is seen. Raises DemoError after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(0.3)
    raise DemoError(f"waited {seconds:.0f} s for {what}, in vain")
