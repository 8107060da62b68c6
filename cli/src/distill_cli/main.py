"""The `distill` program: a local cluster up, down and looked at. The entry point that pip installs as `distill`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from distill_cli.demo.kubernetes_client import DemoError
from distill_cli.demo.run import repository_root, tell
from distill_cli.demo.story import Story
from distill_cli.steps import StepList
from distill_local.cluster import up
from distill_local.errors import LocalClusterError
from distill_local.handle import Cluster
from distill_local.lifecycle import cluster_names, down
from distill_local.overview import Overview, overview

_INTERRUPTED = 130
_DEFAULT_NAME = "demo"


def parser() -> argparse.ArgumentParser:
    """Return the command line's grammar."""
    program = argparse.ArgumentParser(prog="distill", description="Knowledge distillation on Kubernetes.")
    commands = program.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(
        commands.add_parser(
            "demo", help="the main job on real data: from an empty cluster to a promoted canary"
        )
    )
    _add_up(
        commands.add_parser(
            "up", help="start a Kubernetes of its own on this machine, without Docker and without root"
        )
    )
    _add_down(commands.add_parser("down", help="end the local cluster and remove its data"))
    env = commands.add_parser("env", help="print what points kubectl and helm at a local cluster")
    env.add_argument("--name", default=_DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
    env.set_defaults(run=_env)
    status = commands.add_parser("status", help="show the local clusters")
    status.set_defaults(run=_status)
    return program


def _add_up(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default=_DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
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
    command.set_defaults(run=_up)


def _add_down(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default=_DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
    command.add_argument(
        "--keep-data",
        action="store_true",
        help="keep its objects, volumes and logs for the next `distill up`",
    )
    command.set_defaults(run=_down)


def _add_demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default=_DEFAULT_NAME, help="the cluster's name (default: %(default)s)")
    command.add_argument(
        "--save-svg", type=Path, metavar="FILE", help="also write what was shown as a picture"
    )
    command.set_defaults(run=_demo)


def _count(text: str) -> int:
    if not text.isdecimal():
        msg = f"{text!r} is not a number of GPUs: give 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _up(arguments: argparse.Namespace, console: Console) -> None:
    with StepList(console) as steps:
        cluster = up(
            arguments.name, kserve="kserve" in arguments.parts, gpus=arguments.gpus, report=steps.show
        )
    console.print(f"Cluster [bold]{cluster.name}[/] is up: {cluster.api_url}", highlight=False)
    if cluster.config.kserve:
        console.print(
            f"Gateway: {cluster.gateway_url} (the Host header chooses the service)", highlight=False
        )
    console.print(
        f"  {cluster.exports}",
        highlight=False,
        soft_wrap=True,
    )
    console.print("  kubectl get nodes", highlight=False)


def _demo(arguments: argparse.Namespace, console: Console) -> None:
    console.record = arguments.save_svg is not None
    story = Story(console)
    try:
        story.chapter("A real Kubernetes on this machine")
        with StepList(console) as steps:
            cluster = up(arguments.name, kserve=True, report=steps.show)
        tell(story, cluster, repository_root())
    finally:
        if console.record:
            console.save_svg(str(arguments.save_svg), title="make demo")


def _env(arguments: argparse.Namespace, console: Console) -> None:
    console.print(Cluster.find(arguments.name).exports, soft_wrap=True, highlight=False)


def _down(arguments: argparse.Namespace, console: Console) -> None:
    if not down(arguments.name, keep_data=arguments.keep_data):
        console.print(f"There is no local cluster {arguments.name}.")
    elif arguments.keep_data:
        console.print(f"Cluster {arguments.name} is down; its data is kept for the next `distill up`.")
    else:
        console.print(f"Cluster {arguments.name} is down; nothing of it is left.")


def _status(_arguments: argparse.Namespace, console: Console) -> None:
    rows = [overview(name) for name in cluster_names()]
    if not rows:
        console.print("There is no local cluster: `distill up` starts one.")
        return
    console.print(_status_table(rows))


def _status_table(rows: Sequence[Overview]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("NAME", "STATE", "API", "GATEWAY", "GPUS", "RESTARTS", "KUBECONFIG"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row.name, row.state, row.api_url, row.gateway_url, row.gpus, row.restarts, str(row.kubeconfig)
        )
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; an error of ours is one sentence, never a traceback."""
    arguments = parser().parse_args(argv)
    run: Callable[[argparse.Namespace, Console], None] = arguments.run
    try:
        run(arguments, Console(width=None if sys.stdout.isatty() else 120))
    except (LocalClusterError, DemoError) as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Run the same command again to go on.\n")
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
