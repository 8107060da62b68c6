"""A running local cluster in the hands of Python: its addresses, and kubectl and Helm pointed at it. Used by tests and the demo."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from distill_local.config import ClusterConfig
from distill_local.errors import LocalClusterError
from distill_local.layout import ClusterPaths
from distill_local.lifecycle import down


class CommandError(LocalClusterError):
    """kubectl or Helm ended with an error; `stderr` is what it said."""

    def __init__(self, command: str, returncode: int, stderr: str) -> None:
        super().__init__(f"{command} ended with {returncode}: {stderr.strip()}")
        self.returncode = returncode
        self.stderr = stderr


def run_program(
    program: Path, arguments: tuple[str, ...], environment: dict[str, str], stdin: str | None = None
) -> str:
    """Run kubectl or Helm and return what it printed; raise CommandError if it fails."""
    command = [str(program), *arguments]
    done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(f"{program.name} {' '.join(arguments)}", done.returncode, done.stderr)
    return done.stdout


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up. As a context manager it is taken down at the end."""

    config: ClusterConfig
    paths: ClusterPaths

    @classmethod
    def find(cls, name: str) -> Self:
        """Return the cluster `name` as it was last started; raise LocalClusterError if it never was."""
        paths = ClusterPaths.of(name)
        config = ClusterConfig.read(paths.config)
        if config is None:
            msg = f"There is no local cluster {name}: `distill up --name {name}` starts it."
            raise LocalClusterError(msg)
        return cls(config, paths)

    @property
    def exports(self) -> str:
        """Return the shell's line that points kubectl and Helm at this cluster."""
        return f"export KUBECONFIG={self.kubeconfig} PATH={self.config.programs}:$PATH"

    @property
    def name(self) -> str:
        """Return the name given to `up`."""
        return self.config.name

    @property
    def kubeconfig(self) -> Path:
        """Return the kubeconfig of the cluster's admin."""
        return self.paths.kubeconfig

    @property
    def api_url(self) -> str:
        """Return the API server's URL on this machine."""
        return f"https://127.0.0.1:{self.config.api_port}"

    @property
    def gateway_url(self) -> str:
        """Return the gateway's URL; a request's Host header chooses the service. Raise LocalClusterError without KServe."""
        return f"http://127.0.0.1:{self._kserve_port(self.config.gateway_port)}"

    @property
    def gateway_metrics_url(self) -> str:
        """Return the URL of the gateway's Prometheus metrics. Raise LocalClusterError without KServe."""
        return f"http://127.0.0.1:{self._kserve_port(self.config.metrics_port)}/metrics"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl on this cluster and return what it printed; raise CommandError if it fails."""
        return self._run("kubectl", arguments, stdin)

    def helm(self, *arguments: str, stdin: str | None = None) -> str:
        """Run Helm on this cluster and return what it printed; raise CommandError if it fails."""
        return self._run("helm", arguments, stdin)

    def environment(self) -> dict[str, str]:
        """Return our environment with KUBECONFIG, and PATH with this cluster's kubectl and Helm in front."""
        return os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.paths.root / "kubectl-cache"),
            "PATH": f"{self.config.programs}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def down(self) -> None:
        """Take the cluster down and remove its data."""
        down(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.down()

    def _run(self, program: str, arguments: tuple[str, ...], stdin: str | None) -> str:
        return run_program(Path(self.config.programs) / program, arguments, self.environment(), stdin)

    def _kserve_port(self, port: int) -> int:
        if not self.config.kserve:
            msg = f"The cluster {self.name} has no gateway: start it with `distill up --name {self.name} --with kserve`."
            raise LocalClusterError(msg)
        return port
