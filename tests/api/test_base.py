"""What every model shares: durations, and an import that needs nothing but pydantic."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from distill_api.base import Duration, seconds

COUNT = st.integers(0, 9999)


@given(COUNT, COUNT, COUNT)
def test_a_duration_is_the_sum_of_its_parts(hours, minutes, rest):
    assert seconds(f"{hours}h{minutes}m{rest}s") == hours * 3600 + minutes * 60 + rest
    assert seconds(f"{minutes}m") == minutes * 60


@given(st.text("0123456789hms -.", max_size=6))
def test_a_duration_is_accepted_exactly_where_it_can_be_read(text):
    try:
        TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        with pytest.raises(ValueError, match="write it as 30s, 5m or 1h30m"):
            seconds(text)
    else:
        assert seconds(text) >= 0


def test_importing_the_models_needs_pydantic_alone():
    program = "import sys, distill_api, distill_api.contract, distill_api.validate; print({'yaml', 'kopf', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
