"""Writing a status: what is written, when, what it says and which Events tell of it."""

from datetime import timedelta

import pytest
from operator_builders import NOW, status

from distill_api.status import Condition, ConditionType, Losses, Phase, Progress, RolloutPhase, ServingStatus
from distill_operator.status import Urgency, changes_of, phase_of, told, urgency
from distill_operator.status.conditions import merged
from distill_operator.status.texts import duration_text, metric_text, progress_text
from distill_operator.verdict import no, yes

LATER = NOW + timedelta(minutes=1)


def said(*conditions, before=(), at=NOW):
    return merged(before, conditions, 1, at)


def test_the_transition_time_moves_with_the_status_alone():
    first = said(no(ConditionType.RUNNING, "Starting", "a"))
    reworded = said(no(ConditionType.RUNNING, "Unschedulable", "b"), before=first, at=LATER)
    assert reworded[0].last_transition_time == first[0].last_transition_time
    turned = said(yes(ConditionType.RUNNING, "Training", "c"), before=reworded, at=LATER)
    assert turned[0].last_transition_time == "2026-01-02T03:05:05Z"


def test_the_same_said_again_is_the_same_object():
    first = said(yes(ConditionType.ACCEPTED, "Accepted", "a"))
    assert said(yes(ConditionType.ACCEPTED, "Accepted", "a"), before=first, at=LATER) == first


def test_a_sticky_sentence_stays_while_its_reason_does():
    first = said(no(ConditionType.RUNNING, "ImagePullFailed", "pull error", sticky=True))
    second = said(no(ConditionType.RUNNING, "ImagePullFailed", "back-off", sticky=True), before=first)
    assert second == first
    third = said(no(ConditionType.RUNNING, "Retrying", "again", sticky=True), before=first)
    assert third[0].message == "again"


def test_messages_are_bounded():
    assert len(said(no(ConditionType.FAILED, "X", "m" * 5000))[0].message) == 1024


@pytest.mark.parametrize(
    ("conditions", "phase"),
    [
        ([], Phase.PENDING),
        ([("Accepted", "True", "Accepted")], Phase.CHECKING),
        ([("Accepted", "True", "Accepted"), ("ContractValid", "True", "ContractValid")], Phase.STARTING),
        ([("ContractValid", "True", "ContractValid"), ("Running", "True", "Training")], Phase.RUNNING),
        ([("Running", "True", "Evaluating")], Phase.EVALUATING),
        ([("Accepted", "True", "Accepted"), ("Running", "False", "Suspended")], Phase.SUSPENDED),
        ([("ContractValid", "True", "ContractValid"), ("Running", "False", "Retrying")], Phase.STARTING),
        ([("Trained", "True", "Trained"), ("Running", "False", "Ended")], Phase.SUCCEEDED),
        ([("Trained", "True", "Trained"), ("Failed", "True", "GateFailed")], Phase.FAILED),
    ],
)
def test_the_phase_follows_from_the_conditions_whatever_their_order(conditions, phase):
    assert phase_of(status(None, conditions).conditions) == phase
    assert phase_of(reversed(status(None, conditions).conditions)) == phase


def test_a_patch_holds_what_changed_and_removes_what_went():
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "f": 0}
    after = {"a": 1, "b": {"c": 3}, "e": [2]}
    assert changes_of(before, after) == {"b": {"c": 3, "d": None}, "e": [2], "f": None}
    assert changes_of(after, after) == {}


def rollout(message, **fields):
    return ServingStatus(phase=RolloutPhase.DEPLOYING, message=message, **fields)


def progress(**fields):
    return Progress(**({"percent": 10, "stage": "Training", "total_steps": 100} | fields))


@pytest.mark.parametrize(
    ("before", "after", "need"),
    [
        ({}, {}, Urgency.NONE),
        (
            {"progress": progress()},
            {"progress": progress(step=11, losses=Losses(total=1, task=1, distillation=1))},
            Urgency.NONE,
        ),
        ({"progress": progress()}, {"progress": progress(percent=11)}, Urgency.PROGRESS),
        ({"progress": progress()}, {"progress": progress(stage="Evaluating")}, Urgency.PROGRESS),
        ({"progress": progress()}, {"progress": progress(student_metric=0.9)}, Urgency.PROGRESS),
        ({"message": "0/3 nodes"}, {"message": "0/4 nodes"}, Urgency.WORDING),
        ({"serving": rollout("0 of 1 Ready")}, {"serving": rollout("1 of 1 Ready")}, Urgency.WORDING),
        ({"serving": rollout("a")}, {"serving": rollout("a", canary="25%")}, Urgency.NOW),
        ({}, {"serving": rollout("a")}, Urgency.NOW),
        ({"phase": Phase.STARTING}, {"phase": Phase.RUNNING}, Urgency.NOW),
        ({"attempt": 1}, {"attempt": 2}, Urgency.NOW),
    ],
)
def test_how_soon_a_change_is_written(before, after, need):
    base = status("Running")
    assert urgency(base.model_copy(update=before), base.model_copy(update=after)) == need


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (41, "41s"), (101, "1m41s"), (3600, "1h00m"), (7500, "2h05m"), (273600, "3d4h")],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


def test_columns():
    running = progress(percent=63, seconds_remaining=101, student_metric=0.871, teacher_metric=0.9875)
    assert progress_text(running, Phase.RUNNING) == "63% 1m41s left"
    assert progress_text(running, Phase.SUSPENDED) == "63%"
    assert progress_text(progress(percent=0, stage="Caching"), Phase.RUNNING) == "0% caching"
    assert progress_text(None, Phase.SUCCEEDED) == "100%"
    assert progress_text(None, Phase.CHECKING) is None
    assert metric_text(running, None) == "0.871 (88.2%)"


def conditions(*said_):
    return status(None, said_)


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        ([], [("Accepted", "True", "Accepted"), ("ContractValid", "Unknown", "Checking")], []),
        ([], [("ContractValid", "True", "ContractValid")], [("Normal", "ContractValid")]),
        ([("Running", "True", "Training")], [("Running", "True", "Training")], []),
        ([], [("Running", "False", "Unschedulable")], [("Warning", "Unschedulable")]),
        ([], [("Running", "False", "Suspended")], [("Normal", "Suspended")]),
        # The rollout tells its own steps; how it ended, the condition does.
        ([], [("Delivered", "Unknown", "Holding")], []),
        (
            [("Delivered", "Unknown", "Holding")],
            [("Delivered", "True", "Promoted")],
            [("Normal", "Promoted")],
        ),
        (
            [("Delivered", "Unknown", "Deploying")],
            [("Delivered", "False", "RolledBack")],
            [("Warning", "RolledBack")],
        ),
        ([], [("Trained", "False", "Diverged"), ("Failed", "True", "Diverged")], [("Warning", "Diverged")]),
    ],
)
def test_events_tell_turns_once(before, after, events):
    assert [(event.kind, event.reason) for event in told(conditions(*before), conditions(*after))] == events


def test_a_condition_of_a_newer_operator_is_kept():
    foreign = Condition(
        type="Archived", status="True", reason="X", last_transition_time="2026-01-02T03:00:00Z"
    )
    assert foreign in said(yes(ConditionType.ACCEPTED, "Accepted", ""), before=[foreign])
