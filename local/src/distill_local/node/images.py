"""The images that this node can run: a table from repository names to commands of this machine.

There is no registry and no unpacking: `distillation/trainer:0.1.0` means "the trainer
as it is installed here". `settings` reads the table, `launch` looks images up.

    distillation/trainer:
      command: [/path/to/python, -m, distill_trainer]   # the image's entrypoint
      args: []                                          # its default arguments
      user: 65532                                       # its user, 0 if absent
      group: 65532                                      # its group, 0 if absent
      workingDir: /
      env: {PATH: /path/to/bin:/usr/bin:/bin}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Image:
    """One row of the table."""

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    user: int = 0
    group: int = 0
    working_dir: str = "/"
    env: dict[str, str] = field(default_factory=dict)


_FIELDS: dict[str, tuple[str, type[Any]]] = {
    "command": ("command", list),
    "args": ("args", list),
    "user": ("user", int),
    "group": ("group", int),
    "workingDir": ("working_dir", str),
    "env": ("env", dict),
}


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
    return ImageTable(
        {repository(str(name)): _image(f"{path}: {name}", row or {}) for name, row in rows.items()}
    )


def _image(where: str, row: dict[str, Any]) -> Image:
    given: dict[str, Any] = {}
    for name, value in row.items():
        if name not in _FIELDS:
            raise ValueError(
                f"{where}.{name} is not a field of an image; the fields are {', '.join(_FIELDS)}"
            )
        attribute, kind = _FIELDS[name]
        if not isinstance(value, kind):
            what = f"{where}.{name} is {value!r}, and must be a {kind.__name__}"
            raise ValueError(what)  # noqa: TRY004 - a file is wrong, not a type in a program
        given[attribute] = tuple(map(str, value)) if attribute in {"command", "args"} else value
    return Image(**given)
