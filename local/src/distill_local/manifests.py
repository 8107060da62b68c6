"""Copy KServe's and Gateway API's manifests out of the Go module cache, beside the program they belong to.

Called by `distill_local.build` with the standard library alone. The files are read where Go put them and never become ours.
"""

import json
import shutil
import subprocess
from pathlib import Path

from distill_local.errors import LocalClusterError

_KSERVE_MODULE = "github.com/kserve/kserve"
_GATEWAY_MODULE = "sigs.k8s.io/gateway-api"
_GATEWAY_KINDS = (
    "backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants", "tlsroutes",
)  # fmt: skip


def store_kserve_manifests(go: Path, environment: dict[str, str], target: Path) -> None:
    """Copy what a cluster with KServe needs to `target`: crds/*.yaml, webhooks.yaml, inferenceservice-config.yaml."""
    kserve = _module_folder(go, environment, _KSERVE_MODULE)
    gateway = _module_folder(go, environment, _GATEWAY_MODULE)
    full = kserve / "config" / "crd" / "full"
    definitions = [
        *full.glob("serving.kserve.io_*.yaml"),
        *(full / "clusterstoragecontainer").glob("serving.kserve.io_*.yaml"),
        *(
            gateway / "config/crd/standard" / f"gateway.networking.k8s.io_{kind}.yaml"
            for kind in _GATEWAY_KINDS
        ),
    ]
    for file in definitions:
        _copy(file, target / "crds" / file.name)
    _copy(kserve / "config" / "webhook" / "manifests.yaml", target / "webhooks.yaml")
    _copy(kserve / "config" / "configmap" / "inferenceservice.yaml", target / "inferenceservice-config.yaml")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)  # the content alone: files of the module cache are read-only


def _module_folder(go: Path, environment: dict[str, str], module: str) -> Path:
    """Return where Go keeps `module`, in the version that local/kserve/go.mod names."""
    home = Path(__file__).resolve().parents[2] / "kserve"
    command = [str(go), "list", "-m", "-json", module]
    listed = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    folder = json.loads(listed.stdout).get("Dir") if listed.returncode == 0 else None
    if folder is None:
        msg = f"Go does not know where {module} is: {listed.stderr.strip() or 'it was not downloaded'}; see {home / 'go.mod'}."
        raise LocalClusterError(msg)
    return Path(folder)
