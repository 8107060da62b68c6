"""Job files as users write them: several documents, each with the lines that its fields stand on."""

from __future__ import annotations

from distill_cli.jobs.claims import local_config, read_claims, unread_claims_of
from distill_cli.jobs.elsewhere import said_of_data
from distill_cli.jobs.read import Contents, Job, one_job, read_file

__all__ = [
    "Contents",
    "Job",
    "local_config",
    "one_job",
    "read_claims",
    "read_file",
    "said_of_data",
    "unread_claims_of",
]
