"""The operator: makes of each DistillationJob a contract check, a training, a gate and a rollout.

Read it in this order: `handlers` (events fill caches and the queue), `reconcile` (one key: observe, decide, apply,
status), `decide` (what is to be done, as a table), `manifests` (what is written to the cluster).
"""
