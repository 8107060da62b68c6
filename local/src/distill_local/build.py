"""Build the cluster's Go programs once and keep them in the user's cache folder, with a line of progress.

`python -m distill_local.build` runs this with the standard library alone, so that the Makefile can start it before, and beside,
the Python installs. `distill up` calls `ensure_program` and finds the work done, or waits for the one who is doing it.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from distill_local.errors import LocalClusterError
from distill_local.gotool import find_go, go_environment
from distill_local.manifests import store_kserve_objects

_POLL_SECONDS = 0.2
_MODULES = Path(__file__).resolve().parents[2]
OBJECTS = "objects.json"
"""The file beside a program with the Kubernetes objects that belong to it, made by its `store_objects`."""


@dataclass(frozen=True)
class Program:
    """A Go program: the module's folder below local/, the package in it, and the names it is called by."""

    name: str
    package: str
    ldflags: str
    links: tuple[str, ...] = ()
    store_objects: Callable[[Path, dict[str, str], Path], None] | None = None


_QUICK_COMPILE = ("-gcflags=all=-l -dwarf=false", "-gcflags=std=-dwarf=false")
"""No debugger looks at these programs, and inlining pays in the standard library alone: a fifth of the compile time."""

# Without these the server calls itself v0.0.0-master, and clients misjudge what it can do.
_KUBERNETES_VERSION = (
    "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 "
    "-X k8s.io/component-base/version.gitMinor=36 -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3"
)

KUBE = Program(
    "kube",
    ".",
    _KUBERNETES_VERSION,
    ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "helm"),
)
KSERVE = Program(
    "kserve", "github.com/kserve/kserve/cmd/manager", "-s -w", store_objects=store_kserve_objects
)
PROGRAMS = {program.name: program for program in (KUBE, KSERVE)}


@dataclass(frozen=True)
class Progress:
    """How far a build is; `total` is the number of packages, 0 while it is not known."""

    program: str
    packages: int
    total: int
    seconds: float

    def __str__(self) -> str:
        """Return one line for a person."""
        of = f" of at most {self.total}" if self.total else ""
        return f"building {self.program}: {self.packages}{of} packages, {self.seconds:.0f} s"


Report = Callable[[Progress], None]


def cache_home() -> Path:
    """Return the folder of everything that can be made again (`$XDG_CACHE_HOME/distill`)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).expanduser().resolve() / "distill"


def program_folder(program: Program) -> Path:
    """Return where the program of exactly this source is or will be; the folder exists once it is complete."""
    module = _MODULES / program.name
    made_of = (
        program.package,
        program.ldflags,
        _QUICK_COMPILE,
        program.links,
        *([OBJECTS] if program.store_objects else []),
    )
    digest = hashlib.sha256(repr(made_of).encode())
    try:
        for file in ("go.mod", "go.sum", *sorted(path.name for path in module.glob("*.go"))):
            digest.update((module / file).read_bytes())
    except FileNotFoundError as error:
        msg = f"The Go module {module} is not there: the local cluster is built from a checkout, install it with `pip install -e local`."
        raise LocalClusterError(msg) from error
    return cache_home() / f"{program.name}-{digest.hexdigest()[:12]}"


def ensure_program(program: Program, report: Report) -> Path:
    """Return the folder with the built program; build it, or wait for who builds it, if it is not there yet.

    Safe when interrupted and when several run at once: one builds under a lock, into a draft that is renamed when complete.
    """
    folder = program_folder(program)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder, program, report):
        if not folder.exists():
            _build_into(folder, program, report)
    return folder


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


@contextlib.contextmanager
def _locked(folder: Path, program: Program, report: Report) -> Iterator[None]:
    """Hold the build's lock; while another process has it, report what that one reports."""
    started = time.monotonic()
    with _beside(folder, "lock").open("a") as lock:
        while not _try_lock(lock.fileno()):
            packages, total = _read_progress(folder)
            report(Progress(program.name, packages, total, time.monotonic() - started))
            time.sleep(_POLL_SECONDS)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_progress(folder: Path) -> tuple[int, int]:
    try:
        packages, total = _beside(folder, "progress").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        return 0, 0
    return int(packages), int(total)


def _build_into(folder: Path, program: Program, report: Report) -> None:
    draft = _beside(folder, "draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a build that was killed
    draft.mkdir()
    try:
        _build(draft, folder, program, report)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        _beside(folder, "progress").unlink(missing_ok=True)


def _build(draft: Path, folder: Path, program: Program, report: Report) -> None:
    started = time.monotonic()

    def progressed(packages: int, total: int) -> None:
        _beside(folder, "progress").write_text(f"{packages} {total}", encoding="utf-8")
        report(Progress(program.name, packages, total, time.monotonic() - started))

    progressed(0, 0)
    go = find_go(cache_home())
    environment = go_environment()
    module = _MODULES / program.name
    total = _count_packages(go, environment, module, program)
    output = str(draft / program.name)
    command = [
        str(go),
        "build",
        "-v",
        "-trimpath",
        *_QUICK_COMPILE,
        "-ldflags",
        program.ldflags,
        "-o",
        output,
        program.package,
    ]
    log = _beside(folder, "log")
    _run_build(command, environment, module, log, lambda done: progressed(done, total))
    for link in program.links:
        (draft / link).symlink_to(program.name)
    if program.store_objects is not None:
        program.store_objects(go, environment, draft / OBJECTS)


def _count_packages(go: Path, environment: dict[str, str], module: Path, program: Program) -> int:
    """Return how many packages the program is made of (this also fetches the modules); 0 if Go cannot say."""
    command = [str(go), "list", "-deps", "-f", ".", program.package]
    listed = subprocess.run(
        command, cwd=module, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return len(listed.stdout.split())


def _run_build(
    command: list[str],
    environment: dict[str, str],
    module: Path,
    log: Path,
    progressed: Callable[[int], None],
) -> None:
    """Run `go build -v`, which names each package that it compiles; raise LocalClusterError with its last lines if it fails."""
    packages = 0
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(command, cwd=module, env=environment, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            for line in process.stderr or ():
                output.write(line)
                if not line.startswith(("go: ", "#", "\t")):
                    packages += 1
                    progressed(packages)
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        tail = "\n".join(f"    {line}" for line in log.read_text(encoding="utf-8").splitlines()[-5:])
        msg = f"Building {module.name} failed (exit status {process.returncode}); the log is {log} and ends with:\n{tail}"
        raise LocalClusterError(msg)


class _LineReport:
    """Progress for a terminal (one line that changes) or a log (one line every ten seconds)."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, progress: Progress) -> None:
        interval = 0.1 if sys.stderr.isatty() else 10.0
        if time.monotonic() - self._shown < interval:
            return
        self._shown = time.monotonic()
        line = f"\r\033[K{progress}" if sys.stderr.isatty() else f"{progress}\n"
        sys.stderr.write(line)
        sys.stderr.flush()


def main(names: list[str]) -> int:
    """Build the programs named (all if none), say where they are, and return the exit status."""
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        sys.stderr.write(
            f"{unknown[0]} is not a program of the local cluster: name {' or '.join(PROGRAMS)}, or nothing for all.\n"
        )
        return 2
    for name in names or PROGRAMS:
        started = time.monotonic()
        try:
            folder = ensure_program(PROGRAMS[name], _LineReport())
        except LocalClusterError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stderr.write("\nInterrupted; run again to go on, what is compiled is kept.\n")
            return 130
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{clear}{name} is in {folder} ({time.monotonic() - started:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
