"""The process node: a small kubelet whose pods are processes of this machine.

`distill up` starts `python -m distill_local.node` inside the local cluster's
namespaces. docs/decisions/0003-process-node.md says what it does and what it refuses.
"""
