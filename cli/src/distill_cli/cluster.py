"""The commands about a local cluster: `up`, `down`, `env`, `status` and `demo`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from distill_api.contract import ExitCode
from distill_cli.demo.story import Story
from distill_cli.errors import CommandError
from distill_cli.help import Commands, add_command
from distill_cli.steps import StepList
from distill_local.cluster import up
from distill_local.handle import Cluster
from distill_local.lifecycle import cluster_names, down
from distill_local.overview import Overview, overview

_DEFAULT_NAME = "demo"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare them."""
    _add_demo(commands)
    _add_up(commands)
    _add_down(commands)
    env = add_command(
        commands,
        "env",
        _env,
        does="print what points kubectl and helm at a local cluster",
        example='eval "$(distill env)" && kubectl get nodes',
    )
    _add_name(env)
    add_command(commands, "status", _status, does="show the local clusters", example="distill status")


def _add_demo(commands: Commands[argparse.ArgumentParser]) -> None:
    demo = add_command(
        commands,
        "demo",
        _demo,
        does="the main job on real data: from an empty cluster to a promoted canary",
        example="distill demo",
    )
    _add_name(demo)
    demo.add_argument("--save-svg", type=Path, metavar="FILE", help="also write what was shown as a picture")


def _add_up(commands: Commands[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands,
        "up",
        _up,
        does="start a Kubernetes of its own on this machine, without Docker and without root",
        example="distill up --with kserve",
    )
    _add_name(command)
    command.add_argument(
        "--with",
        dest="parts",
        action="append",
        choices=["kserve"],
        default=[],
        help="add KServe and its gateway",
    )
    command.add_argument(
        "--gpus", type=_count, default=4, help="how many GPUs the node says it has (default: %(default)s)"
    )


def _add_down(commands: Commands[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, "down", _down, does="end the local cluster and remove its data", example="distill down"
    )
    _add_name(command)
    command.add_argument(
        "--keep-data",
        action="store_true",
        help="keep its objects, volumes and logs for the next `distill up`",
    )


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default=_DEFAULT_NAME, help="the cluster's name (default: %(default)s)")


def _count(text: str) -> int:
    if not text.isdecimal():
        msg = f"{text!r} is not a number of GPUs: give 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _up(arguments: argparse.Namespace, console: Console) -> int:
    with StepList(console) as steps:
        cluster = up(
            arguments.name, kserve="kserve" in arguments.parts, gpus=arguments.gpus, report=steps.show
        )
    console.print(f"Cluster [bold]{cluster.name}[/] is up: {cluster.api_url}", highlight=False)
    if cluster.config.kserve:
        console.print(
            f"Gateway: {cluster.gateway_url} (the Host header chooses the service)", highlight=False
        )
    console.print(f"  {cluster.exports}", highlight=False, soft_wrap=True)
    console.print("  kubectl get nodes", highlight=False)
    return 0


def _demo(arguments: argparse.Namespace, console: Console) -> int:
    from distill_cli.demo.kubernetes_client import DemoError  # noqa: PLC0415 - its client takes a second to import
    from distill_cli.demo.run import repository_root, tell  # noqa: PLC0415

    console.record = arguments.save_svg is not None
    story = Story(console)
    try:
        story.chapter("A real Kubernetes on this machine")
        with StepList(console) as steps:
            cluster = up(arguments.name, kserve=True, report=steps.show)
        tell(story, cluster, repository_root())
    except DemoError as error:
        raise CommandError(str(error), ExitCode.FAILED) from error
    finally:
        if console.record:
            console.save_svg(str(arguments.save_svg), title="make demo")
    return 0


def _env(arguments: argparse.Namespace, console: Console) -> int:
    console.print(Cluster.find(arguments.name).exports, soft_wrap=True, highlight=False)
    return 0


def _down(arguments: argparse.Namespace, console: Console) -> int:
    if not down(arguments.name, keep_data=arguments.keep_data):
        console.print(f"There is no local cluster {arguments.name}.")
    elif arguments.keep_data:
        console.print(f"Cluster {arguments.name} is down; its data is kept for the next `distill up`.")
    else:
        console.print(f"Cluster {arguments.name} is down; nothing of it is left.")
    return 0


def _status(_arguments: argparse.Namespace, console: Console) -> int:
    rows = [overview(name) for name in cluster_names()]
    if rows:
        console.print(_status_table(rows))
    else:
        console.print("There is no local cluster: `distill up` starts one.")
    return 0


def _status_table(rows: Sequence[Overview]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("NAME", "STATE", "API", "GATEWAY", "GPUS", "RESTARTS", "KUBECONFIG"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row.name, row.state, row.api_url, row.gateway_url, row.gpus, row.restarts, str(row.kubeconfig)
        )
    return table
