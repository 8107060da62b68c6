"""The program itself: its help, and that whatever happens a user reads a sentence."""

import pytest

from distill_cli import report
from distill_cli.main import main, parser

COMMANDS = ["validate", "estimate", "run", "report", "demo", "up", "down", "env", "status"]


def test_the_help_lists_every_command_and_the_way_of_a_job(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert [command for command in COMMANDS if f"    {command} " not in text] == []
    assert "distill run job.yaml" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_it_understands(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    _, _, example = capsys.readouterr().out.partition("example:\n")
    first = example.replace("\\\n", " ").splitlines()[0].partition("|")[0].split()
    words = first[first.index("distill") + 1 :] if "distill" in first else ["env"]
    assert parser().parse_args(words).command == command


def test_a_fault_of_ours_is_a_sentence_too(distill, monkeypatch):
    def explode(_):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(report, "_version", explode)
    answer = distill("report", "x")
    assert answer.code == 1
    assert (
        "a fault of distill itself (RuntimeError: first line); DISTILL_TRACEBACK=1 shows where"
        in answer.error
    )
    assert "Traceback" not in answer.error
    monkeypatch.setenv("DISTILL_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        distill("report", "x")
