"""A real Kubernetes on one machine, without Docker and without root: the control plane, a node of processes, KServe."""
