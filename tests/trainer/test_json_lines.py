"""Progress and log as JSON lines, for the program that started the trainer; when it is gone the run is asked to stop."""

import io
import json
import logging

from distill_trainer.json_lines import JsonLines
from distill_trainer.progress import ProgressBoard
from distill_trainer.stop import StopSignal


def test_every_change_of_the_board_and_every_record_of_the_log_is_a_line():
    out = io.StringIO()
    lines = JsonLines(out, StopSignal())
    logger = logging.getLogger("test_json_lines")
    logger.addHandler(lines.handler())
    board = ProgressBoard(lines.progress)
    board.begin(step=3, total_steps=10, epochs=2)
    logger.warning("odd: %s", "α")
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [each["event"] for each in told] == ["progress", "log"]
    assert (told[0]["step"], told[0]["totalSteps"]) == (3, 10)
    assert told[1] == {"event": "log", "level": "WARNING", "logger": "test_json_lines", "message": "odd: α"}


def test_a_reader_that_is_gone_asks_the_run_to_stop():
    class Closed(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    stop = StopSignal()
    ProgressBoard(JsonLines(Closed(), stop).progress).begin(step=0, total_steps=1, epochs=1)
    assert stop.requested
