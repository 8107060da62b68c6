"""Helpers of these tests and of the trainer's, which write small models of text."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "trainer")]
