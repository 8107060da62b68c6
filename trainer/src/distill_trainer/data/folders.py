"""Where `dataset.files.uri` lies, and what in a folder counts: hidden entries (.DS_Store, .ipynb_checkpoints) do not."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from distill_api.dataset import Dataset, DatasetFiles
from distill_api.elsewhere import is_elsewhere
from distill_trainer import uris
from distill_trainer.data.elsewhere import Asked, Place, Progress, local_copy
from distill_trainer.data.suggest import did_you_mean
from distill_trainer.errors import ContractBroken

FIELD = "dataset.files.uri"


def files_root(dataset: Dataset, *, file_allowed: bool = False) -> Path:
    """The folder of the URI (or file, where one is allowed). Raises ContractBroken where it is not there."""
    files = cast("DatasetFiles", dataset.files)  # this source was chosen because it is set
    root = fetched(dataset) or uris.resolve(files.uri, field=FIELD)
    if root.is_dir() or (file_allowed and root.is_file()):
        return root
    if root.is_file():
        raise ContractBroken(
            "DatasetNotFound",
            f"dataset.files.uri is {files.uri!r}, which is a file: format {files.format} needs its folder",
        )
    raise ContractBroken(
        "DatasetNotFound", f"dataset.files.uri is {files.uri!r}: there is no such folder{_beside(root)}"
    )


def fetched(dataset: Dataset, progress: Progress | None = None) -> Path | None:
    """Where data that lie elsewhere are on this machine, fetched where they are not; None for data that need not be.

    Raises UserError, and what `progress` raises.
    """
    files = dataset.files
    if files is None or not is_elsewhere(files.uri):
        return None
    place = Place(files.uri, FIELD)
    return local_copy(Asked(place, files.size_limit_bytes, "dataset.files.sizeLimit"), progress)


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, in text order, without hidden entries."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def sub_folders(folder: Path) -> list[Path]:
    """Folders in a folder."""
    return [path for path in visible(folder) if path.is_dir()]


def _beside(missing: Path) -> str:
    nearest = next((parent for parent in missing.parents if parent.is_dir()), None)
    if nearest is None or nearest == Path("/"):
        return "; check the name of the claim"
    names = [path.name for path in visible(nearest)]
    wanted = missing.relative_to(nearest).parts[0]
    return f"; {nearest} has {', '.join(names[:10]) or 'nothing in it'}{did_you_mean(wanted, names)}"
