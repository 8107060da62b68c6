"""What can go wrong between the operator and the API server, as types that callers can decide by.

`cluster` raises them; `reconcile` and `rollout` tell apart what to retry, what to look at again and what to say.
"""

from __future__ import annotations

import re

DENIED = re.compile(
    r"admission webhook .* denied the request|ValidatingAdmissionPolicy .* denied request", re.DOTALL
)
"""What the API server says where a webhook or a policy, not a missing right, is in the way."""


class OperatorError(Exception):
    """Base of the operator's own errors."""


class SettingsError(OperatorError):
    """An environment variable of the operator is wrong; the sentence names it and the remedy."""


class ClusterError(OperatorError):
    """The API server refused a request.

    `status` is the HTTP status, `reason` the `metav1.Status` reason, `message` the server's sentence.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFoundError(ClusterError):
    """404: the object, or its kind, is not there."""


class AlreadyExistsError(ClusterError):
    """409 on create: an object of that name is there."""


class ConflictError(ClusterError):
    """409 on a write with a precondition: the object has changed since it was read."""


class ForbiddenError(ClusterError):
    """403: not allowed by RBAC, quota or an admission plugin."""


class NamespaceTerminatingError(ForbiddenError):
    """403 on create: the namespace is being deleted, so there is nothing left to do in it."""


class InvalidError(ClusterError):
    """400 or 422: the API server does not accept the object. Another try of the same would end the same way."""


class DeniedError(InvalidError):
    """403 of an admission webhook or policy: it would say the same of the same object again."""


class UnavailableError(ClusterError):
    """429, 5xx, a time-out or no connection. The write may have happened; the next pass finds out."""


def error_of(status: int, reason: str, message: str) -> ClusterError:
    """The typed error of a `metav1.Status`."""
    if status == 403 and "because it is being terminated" in message:
        return NamespaceTerminatingError(status, reason, message)
    if status == 403 and DENIED.search(message):
        return DeniedError(status, reason, message)
    if status == 409:
        kind = AlreadyExistsError if reason == "AlreadyExists" else ConflictError
        return kind(status, reason, message)
    by_status = {400: InvalidError, 403: ForbiddenError, 404: NotFoundError, 422: InvalidError}
    if status == 429 or status >= 500:
        return UnavailableError(status, reason, message)
    return by_status.get(status, ClusterError)(status, reason, message)
