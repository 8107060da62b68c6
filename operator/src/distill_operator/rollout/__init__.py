"""Rolling out a service: from trained students that passed their gate to weights of an HTTPRoute.

Kept apart from the reconciliation of jobs, because a service outlives them: its truth is in InferenceServices and one
HTTPRoute, and it is reconciled by a key of its own. `reconcile` does the I/O; everything else here is pure.
"""
