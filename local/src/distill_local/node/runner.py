"""The life of one container: prepared, started, probed, ended, started again or not.

`pod` makes a `Runner` for each container of a pod and reads its `view`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distill_local.node import logs, probes
from distill_local.node.context import Node
from distill_local.node.env import ConfigError
from distill_local.node.launch import Place, prepare
from distill_local.node.model import Running, Terminated, View, Waiting, now
from distill_local.node.process import ContainerProcess, Launch, StartError, run_inside
from distill_local.node.restarts import Backoff, wanted

PROCESS_RECORD = "process.json"
_RETRY_SECONDS = 2.0
_MESSAGE_BYTES, _LOG_MESSAGE_BYTES, _LOG_MESSAGE_LINES = 4096, 2048, 80


@dataclass
class Runner:
    """One container of one pod; `changed` is called after every change of `view`."""

    node: Node
    place: Place
    spec: dict[str, Any]
    policy: str
    view: View
    changed: Callable[[], None]
    process: ContainerProcess | None = None
    stopping: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _backoff: Backoff = field(default_factory=Backoff)
    _kill: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends when the container has ended and will not be started again."""
        self._task = asyncio.create_task(self._run())
        return self._task

    @property
    def folder(self) -> Path:
        """The folder of this container's own files."""
        return self.node.pod_folder(self.place.pod["metadata"]["uid"]) / "containers" / str(self.spec["name"])

    def log_path(self, restart: int) -> Path:
        """Return the log of one run, counted from 0."""
        return (
            self.node.log_folder(self.place.pod["metadata"]["uid"])
            / str(self.spec["name"])
            / f"{restart}.log"
        )

    def _set(self, **changes: Any) -> None:
        self.view = replace(self.view, **changes)
        self.changed()

    def _event(self, reason: str, message: str, *, warning: bool = True) -> None:
        self.node.events.post(self.place.pod, reason, message, warning=warning, container=self.spec["name"])

    async def _run(self) -> None:
        if isinstance(self.view.state, Terminated):  # it ended while no node was there to see to it
            if not wanted(self.policy, self.view.state):
                return
            self._set(
                last=self.view.state, state=Waiting("ContainerCreating"), restarts=self.view.restarts + 1
            )
        while True:
            ended = await self._run_once(await self._prepared())
            if self.stopping or not wanted(self.policy, ended):
                self._set(state=ended, ready=False, started=False)
                return
            delay = self._backoff.delay
            ran = (ended.finished - ended.started).total_seconds() if ended.started else 0.0
            self._backoff = self._backoff.after(ran)
            if delay:
                why = f"back-off {delay:.0f}s restarting failed container={self.spec['name']} pod={self.place.pod['metadata']['name']}"
                self._event("BackOff", why)
                self._set(state=Waiting("CrashLoopBackOff", why), last=ended, ready=False, started=False)
                await asyncio.sleep(delay)
            self._set(
                last=ended,
                state=Waiting("ContainerCreating"),
                restarts=self.view.restarts + 1,
                ready=False,
                started=False,
            )

    async def _prepared(self) -> Launch:
        """Wait until the image is one of the node's and everything that the spec names is there."""
        tries = 0
        while True:
            image = self.node.settings.images.find(self.spec["image"])
            try:
                if image is None:
                    message = self.node.settings.images.refusal(self.spec["image"])
                    self._wait_for("ErrImagePull" if tries == 0 else "ImagePullBackOff", message)
                else:
                    message_file = self.folder / "termination-log"
                    message_file.parent.mkdir(parents=True, exist_ok=True)
                    message_file.write_bytes(b"")
                    return await prepare(self.node, self.place, self.spec, image, message_file)
            except ConfigError as error:
                self._wait_for("CreateContainerConfigError", str(error))
            tries += 1
            await asyncio.sleep(_RETRY_SECONDS)

    def _wait_for(self, reason: str, message: str) -> None:
        if self.view.state != Waiting(reason, message):
            self._set(state=Waiting(reason, message))
            self._event("Failed", f"Error: {reason}: {message}")

    async def _run_once(self, launch: Launch) -> Terminated:
        log = self.log_path(self.view.restarts)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        self.log_path(self.view.restarts - 2).unlink(missing_ok=True)  # `kubectl logs --previous` needs one
        identity = f"process://{self.place.pod['metadata']['uid']}/{self.spec['name']}/{self.view.restarts}"
        begun = now()
        watchers: list[asyncio.Task[None]] = []
        try:
            self.process = await ContainerProcess.start(launch, log)
            self.process.record(self.folder / PROCESS_RECORD)
            self._set(state=Running(self.process.started), container_id=identity)
            watchers.append(asyncio.create_task(self._beside(self.process)))
            ended = await self.process.wait()
        except StartError as error:
            self._event("Failed", f"Error: {error}")
            return Terminated(128, "StartError", begun, now(), str(error), identity)
        finally:
            if self.process is not None:
                self.process.signal(signal.SIGKILL)
            self.process = None
            for watcher in watchers:
                watcher.cancel()
        reason = "OOMKilled" if ended.out_of_memory else "Completed" if ended.code == 0 else "Error"
        return Terminated(
            ended.code, reason, ended.started, ended.finished, self._message(ended.code, log), identity
        )

    def _message(self, code: int, log: Path) -> str:
        data = (self.folder / "termination-log").read_bytes()[:_MESSAGE_BYTES]
        if not data and code != 0 and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return logs.tail_of(log, _LOG_MESSAGE_LINES)[-_LOG_MESSAGE_BYTES:]
        return data.decode(errors="replace")

    async def _beside(self, process: ContainerProcess) -> None:
        """Run the postStart hook and the probes of a running container."""
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if hook is not None:
            await self._hook("PostStart", hook, process, None)
        target = probes.Target(process, self.place.address, probes.named_ports(self.spec))
        if "startupProbe" in self.spec:
            async for ok in probes.verdicts(self.spec["startupProbe"], target, self._noted("Startup")):
                if ok:
                    break
                self._restart(process, "startup")
        self._set(started=True, ready="readinessProbe" not in self.spec)
        self.begun.set()
        await asyncio.gather(self._watch_readiness(target), self._watch_liveness(target))

    async def _watch_readiness(self, target: probes.Target) -> None:
        if "readinessProbe" in self.spec:
            async for ok in probes.verdicts(self.spec["readinessProbe"], target, self._noted("Readiness")):
                self._set(ready=ok and not self.stopping)

    async def _watch_liveness(self, target: probes.Target) -> None:
        if "livenessProbe" in self.spec:
            async for ok in probes.verdicts(self.spec["livenessProbe"], target, self._noted("Liveness")):
                if not ok:
                    self._restart(target.process, "liveness")

    def _noted(self, kind: str) -> Callable[[str], None]:
        return lambda why: self._event("Unhealthy", f"{kind} probe failed: {why}")

    def _restart(self, process: ContainerProcess, kind: str) -> None:
        self._event(
            "Killing", f"Container {self.spec['name']} failed {kind} probe, will be restarted", warning=False
        )
        probe = self.spec[f"{kind}Probe"]
        grace = probe.get(
            "terminationGracePeriodSeconds", self.place.pod["spec"].get("terminationGracePeriodSeconds", 30)
        )
        self._kill = asyncio.create_task(self._terminate(process, grace))

    async def _hook(
        self, kind: str, hook: dict[str, Any], process: ContainerProcess, seconds: float | None
    ) -> None:
        if "sleep" in hook:
            await asyncio.sleep(
                min(hook["sleep"]["seconds"], seconds if seconds is not None else hook["sleep"]["seconds"])
            )
            return
        target = probes.Target(process, self.place.address, probes.named_ports(self.spec))
        ok, why = await probes.check(hook | {"timeoutSeconds": seconds}, target)
        if not ok:
            self._event(f"Failed{kind}Hook", f"{kind}Hook failed: {why}")
            if kind == "PostStart":
                await self._terminate(
                    process, self.place.pod["spec"].get("terminationGracePeriodSeconds", 30)
                )

    async def _terminate(self, process: ContainerProcess, grace: float) -> None:
        """Ask a process to end, and end it after `grace` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook is not None and grace > 0:
            await self._hook("PreStop", hook, process, grace)
        if grace > 0:
            process.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.ended.wait(), max(0.0, deadline - loop.time()))
        if not process.ended.is_set():
            process.signal(signal.SIGKILL)

    async def stop(self, grace: float) -> None:
        """End the container for good; returns when nothing of it runs."""
        self.stopping = True
        if self._task is None or self._task.done():
            return
        process = self.process
        if process is None:
            # Not running: either it waits, and that ends here, or it is being started, and its helper dies with its task.
            self._task.cancel()
        else:
            self._event("Killing", f"Stopping container {self.spec['name']}", warning=False)
            self._set(ready=False)
            await self._terminate(process, grace)
        await asyncio.gather(self._task, return_exceptions=True)

    async def run_command(self, argv: list[str], seconds: float | None) -> tuple[int, str]:
        """Run a program in the running container."""
        if self.process is None:
            raise StartError(f"container {self.spec['name']} is not running")
        return await run_inside(self.process, argv, seconds)
