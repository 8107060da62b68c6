"""The demo's words and pictures, and the client that counts answers by version."""

import http.server
import json
import threading
from collections import Counter

import pytest
from rich.console import Console

from distill_cli.demo.follow import comparison, tell_progress
from distill_cli.demo.kubernetes_client import DemoError, wait_for
from distill_cli.demo.rollout import requests_table
from distill_cli.demo.story import Story, picture
from distill_cli.demo.traffic import Client, Traffic, read_answer


def shown(renderable) -> str:
    console = Console(width=120, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_picture_has_two_characters_a_pixel_and_its_brightest_is_solid():
    assert picture([[0, 16], [8, 4]], 16) == "  ██\n▒▒░░"


def test_progress_names_both_losses_and_both_metrics():
    said = tell_progress(
        {
            "epoch": 2,
            "epochs": 5,
            "losses": {"total": 1.5, "task": 0.5, "distillation": 1.6},
            "studentMetric": 0.9,
            "teacherMetric": 0.99,
            "secondsRemaining": 7,
        }
    )
    assert said == "epoch 2/5  loss 1.500 (CE 0.500, KD 1.600)  student 0.900  teacher 0.990  7 s left"


def test_progress_says_nothing_that_the_trainer_has_not_said():
    assert tell_progress({}) == ""


def test_comparison_shows_what_was_kept_and_how_much_smaller_it_is():
    model = {
        "metric": 0.9,
        "metricLow": 0.88,
        "metricHigh": 0.92,
        "parameters": 1000,
        "latencyP50Seconds": 0.001,
    }
    result = {
        "metric": "accuracy",
        "samples": 359,
        "student": model,
        "teacher": model | {"metric": 1.0, "parameters": 12_000},
        "drop": {"confidence": 0.95},
        "retained": 0.9,
        "compression": 12.0,
        "agreement": 0.91,
    }
    text = shown(comparison({"status": {"result": result}}))
    for words in ("90.0 % kept", "12.0× smaller", "12,000", "95 % interval", "91.0 %", "359 test samples"):
        assert words in text


def test_requests_are_shown_per_version_in_the_order_of_first_answers():
    phases = [
        ("10%", Counter({"sha256:aaaaaaaabb": 9, "sha256:0000000011": 1})),
        ("Promoted", Counter({"sha256:0000000011": 5})),
    ]
    text = shown(requests_table(phases, Counter({502: 2})))
    assert text.index("aaaaaaaa") < text.index("00000000")
    assert "9 (90 %)" in text
    assert "2 requests without an answer 200: {502: 2}" in text


def test_an_answer_that_is_no_json_is_empty():
    assert read_answer(502, b"Bad Gateway").body == {}


def test_waiting_in_vain_says_for_what():
    with pytest.raises(DemoError, match="waited 0 s for the moon"):
        wait_for("the moon", lambda: None, 0.01)


def test_a_step_that_fails_is_marked_and_its_error_goes_on():
    console = Console(width=100, record=True, quiet=False)
    story = Story(console)
    with console.capture() as capture, pytest.raises(DemoError), story.step("the impossible"):
        raise DemoError("no")
    assert "✗ the impossible" in capture.get()


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers 200 as version v1, and every third request with 503."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []  # noqa: RUF012 - shared on purpose: one server per test

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers["Host"])
        status = 503 if len(self.seen) % 3 == 0 else 200
        body = json.dumps({"modelVersion": "v1"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_traffic_counts_answers_by_version_and_faults_by_status():
    _Server.seen.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client(f"http://127.0.0.1:{server.server_port}", "digits.example.com", "digits")
    traffic = Traffic(client, [[0]], per_second=1000, limit=9)
    with traffic:
        traffic.join()
    server.shutdown()
    server.server_close()
    assert traffic.versions == Counter({"v1": 6})
    assert traffic.errors == Counter({503: 3})
    assert set(_Server.seen) == {"digits.example.com"}


def test_a_gateway_that_is_not_there_counts_as_status_0():
    answer = Client("http://127.0.0.1:9", "x", "m").predict([0])
    assert (answer.status, answer.version) == (0, "")
