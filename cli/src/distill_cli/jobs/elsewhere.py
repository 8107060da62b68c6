"""What is said of data that no volume holds before a command reads them on this machine."""

from __future__ import annotations

from collections.abc import Iterator

from distill_api.elsewhere import is_elsewhere, shown
from distill_cli.jobs.read import Job


def said_of_data(job: Job) -> Iterator[str]:
    """A sentence for each: that they are fetched, and with whose credentials."""
    dataset = job.spec.dataset
    if dataset.files and is_elsewhere(dataset.files.uri):
        yield f"spec.dataset.files.uri: {shown(dataset.files.uri)} is fetched to this machine first, unless it is here"
    if dataset.secret_ref:
        yield (
            "spec.dataset.secretRef has no effect without a cluster: data are read with the credentials of this machine, in "
            "environment or files"
        )
