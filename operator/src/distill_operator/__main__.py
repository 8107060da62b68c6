"""`python -m distill_operator`: the operator's process."""

from __future__ import annotations

import asyncio
import logging
import sys

from distill_operator.errors import OperatorError
from distill_operator.runtime import run
from distill_operator.settings import Settings

logger = logging.getLogger("distill_operator")


def main() -> int:
    """Run the operator; the exit code."""
    try:
        settings = Settings.from_env()
    except OperatorError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    for noisy in ("kopf", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it warns that it was cancelled
    try:
        asyncio.run(run(settings))
    except Exception as error:
        for cause in _causes(error):
            known = isinstance(cause, OperatorError)
            logger.error(
                "%s; the process ends and is started again", cause, exc_info=None if known else cause
            )
        return 1
    return 0


def _causes(error: Exception) -> list[Exception]:
    """What is inside of exception groups."""
    if not isinstance(error, ExceptionGroup):
        return [error]
    return [cause for inner in error.exceptions for cause in _causes(inner)]


if __name__ == "__main__":
    sys.exit(main())
