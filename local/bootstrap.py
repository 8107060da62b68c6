"""Set-up on a fresh machine: the Python packages and Kubernetes, side by side. Called by `make setup`.

Runs on the standard library alone, since nothing is installed yet. A second run costs a fraction of a second: the
packages are remembered by a hash of what they are made from, the control plane is cached by its source.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
DISTRIBUTIONS = (
    "crds[generate]",
    "operator",
    "trainer[builtin,huggingface,vision,lora,energy,remote,server,export]",
    "local",
    "cli[demo,sweep]",
)
# Object storage on this machine, which the tests fetch data from.
STORES = ("moto[s3]", "flask", "flask-cors", "gcp-storage-emulator")
# Pods see the environment read-only and would compile it to bytecode anew at every start: importing these here does it once,
# in a tenth of the time that all of the environment would take.
POD_PROGRAMS = (
    "distill_operator.runtime",
    "distill_trainer.program",
    "distill_server.app",
    "s3fs",  # the trainer's, when data are fetched
    "gcsfs.core",
)
LOGS = ROOT / "build" / "setup"


class Step:
    """One long command, run beside others, whose last line of output is its progress."""

    def __init__(self, title: str, commands: list[list[str]], env: dict[str, str] | None = None) -> None:
        """`commands` run one after another; the first that fails ends the step."""
        self.title = title
        self.commands = commands
        self.env = {**os.environ, **(env or {})}
        self.log = LOGS / f"{title.rsplit(maxsplit=1)[-1].lower()}.log"
        self.last_line = ""
        self.started = time.monotonic()
        self.seconds: float | None = None
        self.failed = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with self.log.open("w", encoding="utf-8") as log:
            for command in self.commands:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=self.env,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                for line in process.stdout or ():
                    log.write(line)
                    log.flush()
                    self.last_line = line.strip() or self.last_line
                if process.wait() != 0:
                    self.failed = True
                    break
        self.seconds = time.monotonic() - self.started

    def line(self) -> str:
        """One line for a terminal."""
        took = time.monotonic() - self.started if self.seconds is None else self.seconds
        mark = " " if self.seconds is None else ("✗" if self.failed else "✓")
        detail = self.last_line[:60] if self.seconds is None else ""
        return f"  {mark} {self.title:<28} {took:6.1f} s  {detail}"


def packages_digest() -> str:
    """Hash of everything that decides what is installed."""
    files = [ROOT / "constraints.txt", Path(__file__), *sorted(ROOT.glob("*/pyproject.toml"))]
    content = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def package_commands() -> list[list[str]]:
    """How the virtual environment is made: uv from PyPI, then everything at its pinned version."""
    python = str(VENV / "bin" / "python")
    editable = [part for name in DISTRIBUTIONS for part in ("-e", f"./{name}")]
    tools = [
        "ruff",
        "mypy",
        "import-linter",
        "pytest",
        "pytest-xdist",
        "pytest-asyncio",
        "hypothesis",
        "jsonschema",
        "sentence-transformers",
        *STORES,
    ]
    tools += ["types-PyYAML", "types-psutil", "grafana-foundation-sdk"]
    return [
        [sys.executable, "-m", "venv", str(VENV)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"],
        [
            python,
            "-m",
            "uv",
            "pip",
            "install",
            "--python",
            python,
            "-c",
            "constraints.txt",
            *editable,
            *tools,
        ],
        [python, "-c", f"import {', '.join(POD_PROGRAMS)}"],
    ]


def follow(steps: list[Step]) -> None:
    """Show all steps until they have ended: redrawn on a terminal, a line every 15 s elsewhere."""
    terminal = sys.stdout.isatty()
    drawn = False
    while True:
        running = [step for step in steps if step.seconds is None]
        if terminal:
            print(f"\033[{len(steps)}A" if drawn else "", end="")
            for step in steps:
                print(f"\033[2K{step.line()}")
            drawn = True
        else:
            for step in running:
                print(step.line(), flush=True)
        if not running:
            break
        deadline = time.monotonic() + (0.2 if terminal else 15)
        while time.monotonic() < deadline and any(step.seconds is None for step in running):
            time.sleep(0.1)
    if not terminal:
        for step in steps:
            print(step.line(), flush=True)


def main() -> int:
    """Returns the exit code: 0 when everything is in place."""
    if sys.version_info < (3, 11):  # noqa: UP036 - it is run by whatever Python is there, to say this
        version = ".".join(map(str, sys.version_info[:2]))
        print(
            f"Python {version} is too old: 3.11 or newer is needed (make setup PYTHON=/path/to/python3.12)."
        )
        return 1
    LOGS.mkdir(parents=True, exist_ok=True)
    wanted = packages_digest()
    build = [sys.executable, "-m", "distill_local.build"]
    steps = [
        Step(
            "building Kubernetes",
            [build],
            {"PYTHONPATH": str(ROOT / "local" / "src"), "PYTHONUNBUFFERED": "1"},
        )
    ]
    if not STAMP.exists() or STAMP.read_text() != wanted:
        # Whatever the shell says about bytecode: what POD_PROGRAMS import is compiled to be kept.
        steps.insert(0, Step("installing packages", package_commands(), {"PYTHONDONTWRITEBYTECODE": ""}))
    for step in steps:
        step.thread.join(0.5)
    if any(step.seconds is None or step.failed for step in steps):
        follow(steps)
    for step in steps:
        if step.failed:
            print(f"\n{step.title} failed; the end of {step.log.relative_to(ROOT)}:\n")
            print("\n".join(step.log.read_text(encoding="utf-8").splitlines()[-15:]))
            return 1
    STAMP.write_text(wanted)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nInterrupted: run it again, it goes on from where it was.")
        sys.exit(130)
