"""A job's configuration for this machine: claims become folders. Used by `distill validate` and `distill run`.

A volume claim exists in a cluster alone. `--claim models=DIR` says which folder stands for it here; every
`pvc://models/…` of the job then becomes a `file://` URI. The recipe's digest is that of the job as it was written, so
a student has the same lineage wherever it was trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from distill_api.contract import JobReference, TrainerConfig, trainer_config
from distill_cli.errors import CommandError
from distill_cli.jobs.read import Job

_SCHEME = "pvc://"


def read_claims(options: Sequence[str]) -> dict[str, Path]:
    """`name=DIR` each. Raises CommandError where the folder is not there."""
    claims = {}
    for option in options:
        name, equals, folder = option.partition("=")
        if not name or not equals or not folder:
            raise CommandError(f"--claim {option}: write it as NAME=DIR, as in models=./models")
        if not Path(folder).is_dir():
            raise CommandError(f"--claim {option}: there is no folder {folder}; make it, or name another")
        claims[name] = Path(folder).resolve()
    return claims


def local_config(job: Job, claims: Mapping[str, Path], output: Path | None) -> TrainerConfig:
    """What the trainer is told; `output` stands in for `spec.output.uri`. Raises CommandError for claims without a folder."""
    config = trainer_config(JobReference(namespace=job.namespace, name=job.name), job.spec)
    document = config.wire()
    if output is not None:
        document["output"] = {**document["output"], "uri": _file_uri(output.resolve())}
    homeless = [
        f"{job.place}: {field}: {uri}: claim {_claim(uri)} has no folder on this machine: add --claim {_claim(uri)}=DIR"
        + (", or --output DIR" if field == "spec.output.uri" else "")
        for field, uri in _claimed(document, "spec")
        if _claim(uri) not in claims
    ]
    if homeless:
        raise CommandError("\n".join(homeless))
    return TrainerConfig.model_validate(_at_home(document, claims))


def unread_claims_of(job: Job) -> set[str]:
    """The claims of a job that neither a model's folder nor data are on: an estimate reads no weights and writes nothing."""
    fields = dict(_claimed(job.spec.wire(), "spec"))
    read = {
        field for field in fields if field.endswith(".huggingFace.id") or field.startswith("spec.dataset.")
    }
    return {_claim(uri) for uri in fields.values()} - {_claim(fields[field]) for field in read}


def _claimed(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Field and URI of everything on a claim."""
    if isinstance(value, str) and value.startswith(_SCHEME):
        yield at, value
    entries: Iterator[tuple[str, Any]] = iter(())
    if isinstance(value, dict):
        entries = ((f"{at}.{name}", part) for name, part in value.items())
    elif isinstance(value, list):
        entries = ((f"{at}[{index}]", part) for index, part in enumerate(value))
    for place, part in entries:
        yield from _claimed(part, place)


def _at_home(value: Any, claims: Mapping[str, Path]) -> Any:
    """The same with a file URI for each URI on a claim."""
    if isinstance(value, dict):
        return {name: _at_home(part, claims) for name, part in value.items()}
    if isinstance(value, list):
        return [_at_home(part, claims) for part in value]
    if isinstance(value, str) and value.startswith(_SCHEME):
        inside = value.removeprefix(_SCHEME).partition("/")[2]
        return f"{_file_uri(claims[_claim(value)])}/{inside}"
    return value


def _claim(uri: str) -> str:
    return uri.removeprefix(_SCHEME).partition("/")[0]


def _file_uri(folder: Path) -> str:
    return f"file://{quote(str(folder))}"
