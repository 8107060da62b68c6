"""What the operator's tests share: builders on the path, and `--update-golden`."""

import sys
from contextlib import suppress
from pathlib import Path

import pytest

# Builders are shared by test modules; importmode=importlib puts no folder on the path.
sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser):
    with suppress(ValueError):
        parser.addoption(
            "--update-golden", action="store_true", help="write golden files instead of comparing"
        )


@pytest.fixture
def golden(request):
    """`golden(name, text)` compares `text` with golden/<name>, or writes it with --update-golden."""

    def compare(name, text):
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return compare
