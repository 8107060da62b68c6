"""Data in object storage and on web servers: fetched whole into a local folder once, then read as any folder is.

Several processes of a pod, and the next one after a crash, share what was fetched; `scratch` says where it lies.
"""

from __future__ import annotations

from distill_trainer.data.elsewhere.download import Progress
from distill_trainer.data.elsewhere.fetch import forget, local_copy
from distill_trainer.data.elsewhere.place import Asked, Place

__all__ = ["Asked", "Place", "Progress", "forget", "local_copy"]
