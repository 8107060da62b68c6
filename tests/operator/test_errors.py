"""What the API server refuses, told apart by what another try would bring."""

import pytest

from distill_operator.errors import (
    AlreadyExistsError,
    ConflictError,
    DeniedError,
    ForbiddenError,
    InvalidError,
    NamespaceTerminatingError,
    NotFoundError,
    UnavailableError,
    error_of,
)

WEBHOOK = 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: no'
POLICY = (
    "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'gpus' with binding 'all' denied request: no"
)
QUOTA = 'jobs.batch "x" is forbidden: exceeded quota: gpus, requested: 1, used: 4, limited: 4'
RIGHTS = 'jobs.batch is forbidden: User "x" cannot create resource "jobs" in API group "batch"'
GOING = (
    'jobs.batch "x" is forbidden: unable to create new content in namespace t because it is being terminated'
)


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind"),
    [
        (400, "BadRequest", "", InvalidError),
        (403, "Forbidden", RIGHTS, ForbiddenError),
        (403, "Forbidden", QUOTA, ForbiddenError),
        (403, "Forbidden", WEBHOOK, DeniedError),
        (403, "Forbidden", POLICY, DeniedError),
        (403, "Forbidden", GOING, NamespaceTerminatingError),
        (404, "NotFound", "", NotFoundError),
        (409, "AlreadyExists", "", AlreadyExistsError),
        (409, "Conflict", "", ConflictError),
        (422, "Invalid", "", InvalidError),
        (429, "TooManyRequests", "", UnavailableError),
        (500, "InternalError", "failed calling webhook", UnavailableError),
    ],
)
def test_each_refusal_has_its_type(status, reason, message, kind):
    assert type(error_of(status, reason, message)) is kind


def test_what_is_denied_would_be_denied_again():
    assert issubclass(DeniedError, InvalidError)
    assert not issubclass(DeniedError, ForbiddenError)
