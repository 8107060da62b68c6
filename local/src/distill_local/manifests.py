"""Store KServe's and Gateway API's objects beside the program they belong to, read from the Go module cache.

Called by `distill_local.build` with the standard library alone, so Go reads the YAML. The files never become ours.
"""

import json
import subprocess
from pathlib import Path

from distill_local.errors import LocalClusterError

_KSERVE_MODULE = "github.com/kserve/kserve"
_GATEWAY_MODULE = "sigs.k8s.io/gateway-api"
_GATEWAY_KINDS = (
    "backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants", "tlsroutes",
)  # fmt: skip
HOME = Path(__file__).resolve().parents[2] / "kserve"


def store_kserve_objects(go: Path, environment: dict[str, str], target: Path) -> None:
    """Write what a cluster with KServe needs to the file `target`, as a JSON list: definitions, webhooks, settings."""
    kserve = _module_folder(go, environment, _KSERVE_MODULE)
    gateway = _module_folder(go, environment, _GATEWAY_MODULE)
    full = kserve / "config" / "crd" / "full"
    standard = gateway / "config" / "crd" / "standard"
    files = [
        *sorted(full.glob("serving.kserve.io_*.yaml")),
        *sorted((full / "clusterstoragecontainer").glob("serving.kserve.io_*.yaml")),
        *(standard / f"gateway.networking.k8s.io_{kind}.yaml" for kind in _GATEWAY_KINDS),
        kserve / "config" / "webhook" / "manifests.yaml",
        kserve / "config" / "configmap" / "inferenceservice.yaml",
    ]
    target.write_bytes(objects_of(go, environment, files))


def objects_of(go: Path, environment: dict[str, str], files: list[Path]) -> bytes:
    """Return the objects in YAML files as a JSON list, schemas without their descriptions (local/kserve/main.go)."""
    command = [str(go), "run", ".", *map(str, files)]
    done = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        msg = f"KServe's and Gateway API's files cannot be read: {done.stderr.decode(errors='replace').strip()[-500:]}"
        raise LocalClusterError(msg)
    return done.stdout


def _module_folder(go: Path, environment: dict[str, str], module: str) -> Path:
    """Return where Go keeps `module`, in the version that local/kserve/go.mod names."""
    command = [str(go), "list", "-m", "-json", module]
    listed = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, text=True, check=False)
    folder = json.loads(listed.stdout).get("Dir") if listed.returncode == 0 else None
    if folder is None:
        msg = f"Go does not know where {module} is: {listed.stderr.strip() or 'it was not downloaded'}; see {HOME / 'go.mod'}."
        raise LocalClusterError(msg)
    return Path(folder)
