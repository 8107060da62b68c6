"""The reasons of conditions: one word each, for programs. The trainer's own (ClassCountMismatch, …) come on top."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Every reason that the operator itself gives."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    GPU_REQUIRED = "GpuRequired"
    IMAGE_NOT_ALLOWED = "ImageNotAllowed"

    # ContractValid
    CHECKING = "Checking"
    CONTRACT_VALID = "ContractValid"
    CHECK_FAILED = "CheckFailed"
    CHECK_TIMED_OUT = "CheckTimedOut"

    # Running
    STARTING = "Starting"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    SUSPENDED = "Suspended"
    RETRYING = "Retrying"
    DISRUPTED = "Disrupted"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_NOT_FOUND = "VolumeNotFound"
    VOLUME_NOT_BOUND = "VolumeNotBound"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, no password
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    CONTAINER_CANNOT_START = "ContainerCannotStart"
    ENDED = "Ended"

    # Trained
    TRAINED = "Trained"
    RESULT_UNREADABLE = "ResultUnreadable"
    OUT_OF_MEMORY = "OutOfMemory"
    CONFIG_INVALID = "ConfigInvalid"
    CONTRACT_BROKEN = "ContractBroken"
    DIVERGED = "Diverged"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    ACTIVE_DEADLINE_EXCEEDED = "ActiveDeadlineExceeded"
    PENDING_DEADLINE_EXCEEDED = "PendingDeadlineExceeded"

    # GatePassed, Delivered
    GATE_FAILED = "GateFailed"
    NO_RESULT = "NoResult"
    SERVING_UNAVAILABLE = "ServingUnavailable"
    DEPLOYING = "Deploying"
