"""`python -m distill_server --model_name NAME --model_dir /mnt/models --http_port 8080`: what a server pod runs."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from distill_api.contract import ExitCode
from distill_trainer import outcome
from distill_trainer.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """The exit code of `distill_api.contract.ExitCode`; a model that cannot be served is told by one sentence."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    sys.argv = sys.argv[:1]  # the SDK reads the command line while it is imported
    from distill_server.app import serve  # noqa: PLC0415 -- seconds, which --help need not take

    try:
        serve(options.model_name, options.model_dir, port=options.http_port)
    except UserError as error:
        outcome.write(outcome.outcome(error.reason, error.message))
        print(error.message, file=sys.stderr)
        return int(error.exit_code)
    return int(ExitCode.SUCCEEDED)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m distill_server", description="Serves a student.")
    parser.add_argument("--model_name", required=True, help="name in the paths of the inference protocol")
    parser.add_argument("--model_dir", type=Path, default=Path("/mnt/models"), help="folder of a version")
    parser.add_argument("--http_port", type=int, default=8080)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
