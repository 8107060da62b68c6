"""The objects every local cluster has from the start, beside those that Kubernetes makes itself.

Called by the supervisor after the API server is ready; applying them again changes nothing.
"""

from distill_local import layout
from distill_local.api import Api, Manifest

PROVISIONER = "distillation.dev/folder"
NODE_ROLE = "distillation:process-node"


def bootstrap_objects() -> tuple[Manifest, ...]:
    """Return the default StorageClass and what the process node may do beyond what every node may."""
    return (_storage_class(), _node_role(), _node_binding())


async def apply_bootstrap(api: Api) -> None:
    """Apply the bootstrap objects."""
    for manifest in bootstrap_objects():
        await api.apply(manifest)


def _storage_class() -> Manifest:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        # There is one node: nothing is gained by waiting for a pod, and a claim that is Bound at once is plain to read.
        "volumeBindingMode": "Immediate",
    }


def _node_role() -> Manifest:
    """The process node is a kubelet and the provisioner of folder volumes in one program, so it needs both sets of rights."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NODE_ROLE},
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["persistentvolumes"],
                "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
            },
            {
                "apiGroups": [""],
                "resources": ["persistentvolumeclaims"],
                "verbs": ["get", "list", "watch", "update", "patch"],
            },
            {"apiGroups": [""], "resources": ["persistentvolumes/status"], "verbs": ["update", "patch"]},
            {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch", "update"]},
            {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]},
            {
                "apiGroups": ["storage.k8s.io"],
                "resources": ["storageclasses"],
                "verbs": ["get", "list", "watch"],
            },
        ],
    }


def _node_binding() -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NODE_ROLE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NODE_ROLE},
        "subjects": [
            {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "User",
                "name": f"system:node:{layout.NODE_NAME}",
            },
        ],
    }
