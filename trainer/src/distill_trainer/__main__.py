"""`python -m distill_trainer [train | check] --config trainer.json [--json]`: what the training and the check pods run."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from distill_api.contract import CONFIG_PATH
from distill_trainer.json_lines import JsonLines
from distill_trainer.launch import launch, layout
from distill_trainer.stop import StopSignal


def main(arguments: list[str] | None = None) -> int:
    """The exit code of `distill_api.contract.ExitCode`."""
    parser = argparse.ArgumentParser(
        prog="python -m distill_trainer", description="Trains a student from a teacher."
    )
    parser.add_argument(
        "command", nargs="?", choices=["train", "check"], default="train", help="default: train"
    )
    parser.add_argument(
        "--config", type=Path, default=Path(CONFIG_PATH), help=f"trainer.json (default: {CONFIG_PATH})"
    )
    parser.add_argument(
        "--json", action="store_true", help="progress and log as JSON lines on standard output, too"
    )
    options = parser.parse_args(arguments)
    several = layout(os.environ) if options.command == "train" else None
    if several is not None:
        return launch(sys.argv[1:] if arguments is None else arguments, several)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    stop = StopSignal()
    stop.install()
    # Of several processes the first one speaks: a reader has one progress to show.
    lines = JsonLines(sys.stdout, stop) if options.json and os.environ.get("RANK", "0") == "0" else None
    if lines:
        logging.getLogger().addHandler(lines.handler())
    # Huge pages for large tensors on a CPU, which PyTorch reads once: losses over vocabularies are a tenth faster.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    from distill_trainer.program import run  # noqa: PLC0415  (torch takes seconds; a signal must count before)

    return int(run(options.command, options.config, stop, lines.progress if lines else None))


if __name__ == "__main__":
    sys.exit(main())
