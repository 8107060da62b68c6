"""The ConfigMap with trainer.json. Immutable and named by its content: a pod never sees it change."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from distill_api.contract import CONFIG_PATH
from distill_operator.kinds import CONFIG_MAP, Object
from distill_operator.manifests.metadata import metadata
from distill_operator.plan import TrainingPlan

FILE = PurePosixPath(CONFIG_PATH).name
FOLDER = str(PurePosixPath(CONFIG_PATH).parent)


def config_map(plan: TrainingPlan) -> Object:
    """The job's configuration for the trainer."""
    text = json.dumps(plan.config.wire(), indent=2, sort_keys=True, ensure_ascii=False)
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": metadata(plan.owner, plan.config_name, "config"),
        "immutable": True,
        "data": {FILE: text + "\n"},
    }
