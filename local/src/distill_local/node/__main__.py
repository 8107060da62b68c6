"""`python -m distill_local.node`: starts the process node and runs it until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from distill_local.node.api import Api
from distill_local.node.context import Node
from distill_local.node.events import Events
from distill_local.node.launch import WORKSPACE
from distill_local.node.network import Network
from distill_local.node.provisioner import Provisioner
from distill_local.node.registration import heartbeat, register
from distill_local.node.server import serve
from distill_local.node.settings import Settings, parse_arguments
from distill_local.node.sync import Pods


async def _run(settings: Settings) -> None:
    network = Network(settings.pod_range)
    network.create_bridge()
    async with Api(settings.kubeconfig) as api:
        node = Node(settings, api, network, Events(api, settings.name))
        pods = Pods(node)
        server = await serve(settings, pods)
        await register(api, settings)
        loops = [
            asyncio.create_task(work)
            for work in (
                pods.run(),
                heartbeat(api, settings),
                Provisioner(api, settings).run(),
                _asked_to_end(),
            )
        ]
        done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in loops:
            loop.cancel()
        await pods.stop()
        await server.cleanup()
        for loop in done:
            loop.result()


async def _asked_to_end() -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    await asked.wait()


def main() -> int:
    """Run the node and return the program's exit code."""
    settings = parse_arguments(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    (settings.state / WORKSPACE).mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run(settings))
    except OSError as error:
        logging.getLogger(__name__).error("the process node cannot run: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
