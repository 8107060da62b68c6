"""The parts of a cluster that need no cluster: building once, what is said where namespaces are forbidden, the command line."""

import subprocess
import sys
import threading

import pytest

from distill_cli.main import main
from distill_local import build
from distill_local.errors import LocalClusterError
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
    assert not build.program_folder(program).exists()


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
