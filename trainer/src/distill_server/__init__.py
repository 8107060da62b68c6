"""Serves a written student with the kserve Python SDK: v1 and v2 inference protocol, metrics, drain on SIGTERM.

`python -m distill_server` is what the ClusterServingRuntime of the chart runs.
"""
