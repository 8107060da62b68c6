"""The one error that the local cluster shows to people; everything that `distill up` raises on purpose is this."""


class LocalClusterError(Exception):
    """A sentence for the user: what failed, with which value, and what to do about it."""
