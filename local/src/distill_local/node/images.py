"""The images that this node can run: a table from repository names to commands of this machine.

There is no registry and no unpacking: `distillation/trainer:0.1.0` means "the trainer
as it is installed here". `settings` reads the table, `launch` looks images up.

    distillation/trainer:
      command: [/path/to/python, -m, distill_trainer]   # the image's entrypoint
      args: []                                          # its default arguments
      user: 65532                                       # its user, 0 if absent
      workingDir: /
      env: {PATH: /path/to/bin:/usr/bin:/bin}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Image(BaseModel):
    """One row of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    user: int = 0
    working_dir: str = Field(default="/", alias="workingDir")
    env: dict[str, str] = {}


@dataclass(frozen=True)
class ImageTable:
    """The rows by repository name."""

    rows: dict[str, Image] = field(default_factory=dict)

    def find(self, reference: str) -> Image | None:
        """Return the image of a reference such as `docker.io/distillation/trainer:0.1.0`."""
        return self.rows.get(repository(reference))

    def refusal(self, reference: str) -> str:
        """Say why an image is not there and what is."""
        known = ", ".join(sorted(self.rows)) or "none at all"
        return (
            f'image "{reference}" cannot be pulled: this is the process node of a local cluster, which has no registry '
            f"and runs only {known}; run this pod on a real cluster"
        )


def repository(reference: str) -> str:
    """Return the repository of an image reference: no tag, no digest, no default registry."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    for prefix in ("docker.io/library/", "docker.io/", "localhost/"):
        name = name.removeprefix(prefix)
    return name


def read_images(path: Path) -> ImageTable:
    """Read the table; ValueError names the row that is wrong."""
    rows = yaml.safe_load(path.read_text()) or {}
    if not isinstance(rows, dict):
        raise ValueError(f"{path} is not a mapping from repository names to commands")  # noqa: TRY004 - the file is wrong, not a type
    table = {}
    for name, row in rows.items():
        try:
            table[repository(str(name))] = Image.model_validate(row or {})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{path}: {name}.{where}: {first['msg']}") from None
    return ImageTable(table)
