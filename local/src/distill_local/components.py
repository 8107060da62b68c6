"""The programs of a cluster and their command lines: pure, so that what runs with which flag is read in one place.

The supervisor starts them in this order. Nothing here binds outside the cluster's own network namespace.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from distill_local import layout, pki
from distill_local.config import ClusterConfig
from distill_local.layout import ClusterPaths
from distill_local.pki import Identity, Pki

# Their default of 20 requests a second is for clusters with thousands of clients; here it would only make the start slower.
_UNTHROTTLED = ("--kube-api-qps=500", "--kube-api-burst=1000")

# Definitions make the API server allocate far more than it keeps: with Go's own setting it spent 10.7 s of CPU on KServe's and
# Gateway API's, 4 s of them collecting garbage; with these 7.2 s, and holds 840 MB at most instead of 710 MB.
_LAZY_COLLECTOR = {"GOGC": "300", "GOMEMLIMIT": "768MiB"}


@dataclass(frozen=True)
class Component:
    """One program: its name in logs and messages, its command line, and what it gets beside our own environment."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def inner_kubeconfig(paths: ClusterPaths, identity: Identity) -> Path:
    """Return the file that holds the kubeconfig of a part of the cluster."""
    return paths.pki / f"{identity.file}.kubeconfig"


def etcd(config: ClusterConfig, paths: ClusterPaths) -> Component:
    """Return etcd. It does not sync to disk: data survives the end of a process, and losing power may lose a demo."""
    client = f"http://127.0.0.1:{layout.ETCD_PORT}"
    peer = "http://127.0.0.1:2380"
    return Component(
        "etcd",
        (
            f"{config.programs}/etcd",
            f"--data-dir={paths.etcd}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def api_server(config: ClusterConfig, paths: ClusterPaths) -> Component:
    """Return the API server, which listens on its own address in the local range."""
    files = Pki(paths.pki)
    return Component(
        "kube-apiserver",
        (
            f"{config.programs}/kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{layout.ETCD_PORT}",
            f"--bind-address={layout.API_ADDRESS}",
            f"--advertise-address={layout.API_ADDRESS}",
            f"--secure-port={layout.API_PORT}",
            f"--client-ca-file={files.ca}",
            f"--tls-cert-file={files.certificate(pki.API_SERVER)}",
            f"--tls-private-key-file={files.key(pki.API_SERVER)}",
            f"--service-account-key-file={files.service_account_public}",
            f"--service-account-signing-key-file={files.service_account_key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={layout.SERVICE_CIDR}",
            "--authorization-mode=Node,RBAC",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={files.ca}",
            f"--kubelet-client-certificate={files.certificate(pki.KUBELET_CLIENT)}",
            f"--kubelet-client-key={files.key(pki.KUBELET_CLIENT)}",
        ),
        _LAZY_COLLECTOR,
    )


def controller_manager(config: ClusterConfig, paths: ClusterPaths) -> Component:
    """Return the controller manager: Jobs, Deployments, garbage collection, volume binding, service accounts."""
    files = Pki(paths.pki)
    kubeconfig = inner_kubeconfig(paths, pki.CONTROLLER_MANAGER)
    return Component(
        "kube-controller-manager",
        (
            f"{config.programs}/kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--service-account-private-key-file={files.service_account_key}",
            f"--root-ca-file={files.ca}",
            f"--cluster-signing-cert-file={files.ca}",
            f"--cluster-signing-key-file={files.ca_key}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            *_UNTHROTTLED,
        ),
    )


def scheduler(config: ClusterConfig, paths: ClusterPaths) -> Component:
    """Return the scheduler."""
    kubeconfig = inner_kubeconfig(paths, pki.SCHEDULER)
    return Component(
        "kube-scheduler",
        (
            f"{config.programs}/kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            *_UNTHROTTLED,
        ),
    )


def process_node(config: ClusterConfig, paths: ClusterPaths) -> Component:
    """Return the node whose pods are local processes."""
    files = Pki(paths.pki)
    return Component(
        "node",
        (
            sys.executable, "-m", "distill_local.node",
            "--kubeconfig", str(inner_kubeconfig(paths, pki.NODE)),
            "--state", str(paths.node),
            "--hide", str(paths.root.parent),  # the keys of this cluster, and of the user's others
            "--name", layout.NODE_NAME,
            "--address", layout.NODE_ADDRESS,
            "--pod-cidr", layout.POD_CIDR,
            "--capacity", f"nvidia.com/gpu={config.gpus}",
            "--capacity", "cpu=8",
            "--capacity", "memory=16Gi",
            "--images", str(paths.images),
            "--api-server", f"{layout.API_ADDRESS}:{layout.API_PORT}",
            "--serving-cert", str(files.certificate(pki.NODE_SERVING)),
            "--serving-key", str(files.key(pki.NODE_SERVING)),
            "--client-ca", str(files.ca),
        ),
    )  # fmt: skip


def gateway(paths: ClusterPaths) -> Component:
    """Return Traefik as the implementation of Gateway API; its requests are counted on an entry point of its own."""
    return Component(
        "traefik",
        (
            str(Path(sys.executable).with_name("traefik")),
            "--providers.kubernetesgateway=true",
            f"--providers.kubernetesgateway.statusaddress.ip={layout.API_ADDRESS}",
            f"--entrypoints.web.address={layout.API_ADDRESS}:{layout.GATEWAY_PORT}",
            f"--entrypoints.metrics.address={layout.API_ADDRESS}:{layout.GATEWAY_METRICS_PORT}",
            "--metrics.prometheus=true",
            "--metrics.prometheus.entrypoint=metrics",
            "--ping=true",
            "--ping.entrypoint=metrics",
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
        ),
        {"KUBECONFIG": str(inner_kubeconfig(paths, pki.GATEWAY))},
    )


def kserve_controller(config: ClusterConfig, paths: ClusterPaths) -> Component:
    """Return KServe's controller; it looks for its webhook's certificate below its temporary folder."""
    return Component(
        "kserve-controller",
        (
            f"{config.kserve_programs}/kserve",
            "--metrics-addr=0",
            f"--health-probe-addr={layout.API_ADDRESS}:{layout.KSERVE_HEALTH_PORT}",
        ),
        {
            "KUBECONFIG": str(inner_kubeconfig(paths, pki.KSERVE)),
            "POD_NAMESPACE": "kserve",
            "TMPDIR": str(paths.kserve_tmp),
        },
    )
