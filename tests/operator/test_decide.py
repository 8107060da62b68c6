"""The decision table: what is observed → what is said and done. One row per state; every reason is in one."""

import pytest
from operator_builders import (
    CHECKED,
    NOW,
    OUTCOME,
    RESULT,
    ago,
    case,
    child,
    ended,
    pending,
    running,
    status,
)

from distill_api.status import Progress, RolloutPhase, ServingStatus
from distill_operator.decide import decide
from distill_operator.decide.reasons import Reason
from distill_operator.settings import Settings
from distill_operator.status import next_status
from distill_operator.verdict import (
    CreateCheck,
    CreateConfig,
    CreateTraining,
    DeleteChild,
    DeleteSelf,
    Deliver,
    SetSuspend,
)

SERVING = {"serving": {"kserve": {"inferenceService": "digits"}}}
GATE = {"gate": {"maxDropVsTeacher": 0.02}}
DONE = child(ended(0, OUTCOME), complete=True, completion_time=ago(1))
STOP = (DeleteChild("digits-x", "job-1"),)
SUCCEEDED = status("Succeeded", [("Trained", "True", "Trained")], completion_time="2026-01-02T03:04:00Z")
FAILED = status("Failed", [("Failed", "True", "Diverged")], completion_time="2026-01-02T03:04:00Z")


def no_claim():
    return pending(unschedulable='0/1 nodes are available: persistentvolumeclaim "lost" not found.')


# name, observed, phase afterwards, the condition that tells why, actions, clean-up
ROWS = [
    # Nothing is there yet
    (
        "new",
        case(),
        "Checking",
        ("ContractValid", "Unknown", Reason.CHECKING),
        (CreateConfig(), CreateCheck()),
        (),
    ),
    (
        "new and accepted",
        case(),
        "Checking",
        ("Accepted", "True", Reason.ACCEPTED),
        (CreateConfig(), CreateCheck()),
        (),
    ),
    ("new, suspended", case({"suspend": True}), "Suspended", ("Running", "False", Reason.SUSPENDED), (), ()),
    (
        "invalid",
        case(False, invalid="spec.x: no"),
        "Failed",
        ("Accepted", "False", Reason.INVALID_SPEC),
        (),
        (),
    ),
    (
        "no GPU where one is required",
        case({"resources": {"gpusPerNode": 0}}, settings=Settings(require_gpu=True)),
        "Failed",
        ("Accepted", "False", Reason.GPU_REQUIRED),
        (),
        (),
    ),
    (
        "foreign image",
        case(
            {"resources": {"template": {"image": "evil/x:1"}}}, settings=Settings(allowed_images=("good/",))
        ),
        "Failed",
        ("Accepted", "False", Reason.IMAGE_NOT_ALLOWED),
        (),
        (),
    ),
    # The contract check
    (
        "check runs",
        case(check=child(running())),
        "Checking",
        ("ContractValid", "Unknown", Reason.CHECKING),
        (),
        (),
    ),
    (
        "check passed",
        case(check=child(ended(0), complete=True)),
        "Starting",
        ("ContractValid", "True", Reason.CONTRACT_VALID),
        (CreateTraining(3),),
        (),
    ),
    (
        "training starts",
        case(check=child(ended(0), complete=True)),
        "Starting",
        ("Running", "False", Reason.STARTING),
        (CreateTraining(3),),
        (),
    ),
    (
        "configuration of another version of the operator",
        case(check=child(ended(0), complete=True, config_name="old")),
        "Starting",
        ("ContractValid", "True", Reason.CONTRACT_VALID),
        (CreateConfig(), CreateTraining(3)),
        (),
    ),
    (
        "contract broken",
        case(
            check=child(
                ended(65, {"reason": "ClassCountMismatch", "message": "10 and 12."}),
                failed_reason="PodFailurePolicy",
            )
        ),
        "Failed",
        ("ContractValid", "False", "ClassCountMismatch"),
        (),
        (),
    ),
    (
        "check crashes",
        case(check=child(ended(1, "Segmentation fault"), failed_reason="BackoffLimitExceeded")),
        "Failed",
        ("ContractValid", "False", Reason.CHECK_FAILED),
        (),
        (),
    ),
    (
        "check hangs",
        case(check=child(running(601))),
        "Failed",
        ("ContractValid", "False", Reason.CHECK_TIMED_OUT),
        (),
        STOP,
    ),
    (
        "check without its volume",
        case(check=child(no_claim())),
        "Checking",
        ("Running", "False", Reason.VOLUME_NOT_FOUND),
        (),
        (),
    ),
    (
        "check without its volume, for too long",
        case({"policy": {"pendingDeadline": "20s"}}, check=child(no_claim())),
        "Failed",
        ("Failed", "True", Reason.VOLUME_NOT_FOUND),
        (),
        STOP,
    ),
    # The training
    ("running", case(training=child(running())), "Running", ("Running", "True", Reason.TRAINING), (), ()),
    (
        "evaluating",
        case(training=child(running()), progress=Progress(stage="Evaluating", percent=100)),
        "Evaluating",
        ("Running", "True", Reason.EVALUATING),
        (),
        (),
    ),
    (
        "unschedulable",
        case(
            training=child(pending(unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu."))
        ),
        "Starting",
        ("Running", "False", Reason.UNSCHEDULABLE),
        (),
        (),
    ),
    (
        "volume not bound",
        case(training=child(pending(unschedulable="pod has unbound immediate PersistentVolumeClaims"))),
        "Starting",
        ("Running", "False", Reason.VOLUME_NOT_BOUND),
        (),
        (),
    ),
    (
        "no image",
        case(training=child(pending(waiting_reason="ErrImagePull", waiting_message="not found"))),
        "Starting",
        ("Running", "False", Reason.IMAGE_PULL_FAILED),
        (),
        (),
    ),
    (
        "no secret",
        case(
            training=child(
                pending(waiting_reason="CreateContainerConfigError", waiting_message='secret "key" not found')
            )
        ),
        "Starting",
        ("Running", "False", Reason.SECRET_NOT_FOUND),
        (),
        (),
    ),
    (
        "no ConfigMap",
        case(
            training=child(
                pending(
                    waiting_reason="CreateContainerConfigError", waiting_message='configmap "c" not found'
                )
            )
        ),
        "Starting",
        ("Running", "False", Reason.CONFIG_MAP_NOT_FOUND),
        (),
        (),
    ),
    (
        "cannot start",
        case(
            training=child(
                pending(waiting_reason="CreateContainerError", waiting_message="exec format error")
            )
        ),
        "Starting",
        ("Running", "False", Reason.CONTAINER_CANNOT_START),
        (),
        (),
    ),
    (
        "no image, for too long",
        case(
            {"policy": {"pendingDeadline": "20s"}}, training=child(pending(waiting_reason="ImagePullBackOff"))
        ),
        "Failed",
        ("Failed", "True", Reason.IMAGE_PULL_FAILED),
        (),
        STOP,
    ),
    (
        "nothing comes up, for too long",
        case({"policy": {"pendingDeadline": "20s"}}, training=child()),
        "Failed",
        ("Failed", "True", Reason.PENDING_DEADLINE_EXCEEDED),
        (),
        STOP,
    ),
    (
        "retrying",
        case(training=child(ended(1, "boom"), pending(5), failures=1)),
        "Starting",
        ("Running", "False", Reason.RETRYING),
        (),
        (),
    ),
    (
        "evicted",
        case(training=child(ended(75, disrupted=True), pending(5)), status=CHECKED),
        "Starting",
        ("Running", "False", Reason.DISRUPTED),
        (),
        (),
    ),
    (
        "to suspend",
        case({"suspend": True}, training=child(running())),
        "Suspended",
        ("Running", "False", Reason.SUSPENDED),
        (SetSuspend("digits-x", True),),
        (),
    ),
    (
        "suspended",
        case({"suspend": True}, training=child(suspended=True)),
        "Suspended",
        ("Running", "False", Reason.SUSPENDED),
        (),
        (),
    ),
    (
        "to resume",
        case(training=child(suspended=True)),
        "Starting",
        ("Running", "False", Reason.STARTING),
        (SetSuspend("digits-x", False),),
        (),
    ),
    (
        "ran too long",
        case({"policy": {"activeDeadline": "10s"}}, training=child(running(11))),
        "Failed",
        ("Trained", "False", Reason.ACTIVE_DEADLINE_EXCEEDED),
        (),
        STOP,
    ),
    (
        "waiting does not count as active",
        case({"policy": {"activeDeadline": "10s"}}, training=child(pending(50))),
        "Starting",
        ("Running", "False", Reason.STARTING),
        (),
        (),
    ),
    (
        "out of memory",
        case(training=child(ended(137, end_reason="OOMKilled"), pending(1), failures=1)),
        "Failed",
        ("Trained", "False", Reason.OUT_OF_MEMORY),
        (),
        STOP,
    ),
    (
        "diverged",
        case(
            training=child(
                ended(70, {"reason": "Diverged", "message": "NaN"}), failed_reason="PodFailurePolicy"
            )
        ),
        "Failed",
        ("Trained", "False", Reason.DIVERGED),
        (),
        (),
    ),
    (
        "configuration refused",
        case(training=child(ended(64, "no JSON"), failed_reason="PodFailurePolicy")),
        "Failed",
        ("Trained", "False", Reason.CONFIG_INVALID),
        (),
        (),
    ),
    (
        "contract broken in training",
        case(training=child(ended(65, ""), failed_reason="PodFailurePolicy")),
        "Failed",
        ("Trained", "False", Reason.CONTRACT_BROKEN),
        (),
        (),
    ),
    (
        "too many failures",
        case(training=child(ended(1, "boom"), failed_reason="BackoffLimitExceeded")),
        "Failed",
        ("Trained", "False", Reason.BACKOFF_LIMIT_EXCEEDED),
        (),
        (),
    ),
    (
        "child deleted by hand in the middle",
        case(status=CHECKED, check=child(ended(0), complete=True)),
        "Starting",
        ("Running", "False", Reason.STARTING),
        (CreateTraining(3),),
        (),
    ),
    (
        "deleted by hand with retries used",
        case(status=CHECKED.model_copy(update={"restarts": 2})),
        "Starting",
        ("Running", "False", Reason.STARTING),
        (CreateConfig(), CreateTraining(1)),
        (),
    ),
    # The end
    ("trained", case(training=DONE), "Succeeded", ("Trained", "True", Reason.TRAINED), (), ()),
    ("running no more", case(training=DONE), "Succeeded", ("Running", "False", Reason.ENDED), (), ()),
    (
        "summary unreadable",
        case(training=child(ended(0, "{torn"), complete=True)),
        "Succeeded",
        ("Trained", "True", Reason.RESULT_UNREADABLE),
        (),
        (),
    ),
    (
        "summary unreadable, and a gate",
        case(GATE, training=child(ended(0, "{torn"), complete=True)),
        "Failed",
        ("GatePassed", "False", Reason.NO_RESULT),
        (),
        (),
    ),
    ("gate passed", case(GATE, training=DONE), "Succeeded", ("GatePassed", "True", "GatePassed"), (), ()),
    (
        "gate failed",
        case({"gate": {"maxDropVsTeacher": 0.001}} | SERVING, training=DONE, serving_installed=True),
        "Failed",
        ("Failed", "True", Reason.GATE_FAILED),
        (),
        (),
    ),
    (
        "to be served",
        case(GATE | SERVING, training=DONE, serving_installed=True),
        "Succeeded",
        ("Delivered", "Unknown", Reason.DEPLOYING),
        (),
        (Deliver("digits"),),
    ),
    (
        "KServe absent",
        case(SERVING, training=DONE),
        "Succeeded",
        ("Delivered", "False", Reason.SERVING_UNAVAILABLE),
        (),
        (),
    ),
    (
        "promoted",
        case(
            SERVING,
            status=SUCCEEDED,
            serving_installed=True,
            serving=ServingStatus(phase=RolloutPhase.PROMOTED, canary="Promoted"),
        ),
        "Succeeded",
        ("Delivered", "True", "Promoted"),
        (),
        (),
    ),
    (
        "rolled back",
        case(
            SERVING,
            status=SUCCEEDED,
            serving_installed=True,
            serving=ServingStatus(phase=RolloutPhase.ROLLED_BACK),
        ),
        "Succeeded",
        ("Delivered", "False", "RolledBack"),
        (),
        (),
    ),
    (
        "canary",
        case(
            SERVING,
            status=SUCCEEDED,
            serving_installed=True,
            serving=ServingStatus(phase=RolloutPhase.HOLDING),
        ),
        "Succeeded",
        ("Delivered", "Unknown", "Holding"),
        (),
        (Deliver("digits"),),
    ),
]


@pytest.mark.parametrize(
    ("observed", "phase", "why", "actions", "cleanup"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_verdict(observed, phase, why, actions, cleanup):
    verdict = decide(observed)
    after = next_status(observed.observed, verdict, NOW)
    told = {(condition.type, condition.status, condition.reason) for condition in after.conditions}
    assert why in told
    assert after.phase == phase
    assert verdict.actions == actions
    assert verdict.cleanup == cleanup


@pytest.mark.parametrize(("observed"), [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_running_never_stands_beside_an_end_and_a_second_look_changes_nothing(observed):
    after = next_status(observed.observed, decide(observed), NOW)
    holding = {condition.type for condition in after.conditions if condition.status == "True"}
    assert not ("Running" in holding and holding & {"Trained", "Failed"})
    again = case_with(observed, after)
    assert next_status(again.observed, decide(again), NOW) == after


def case_with(observed, after):
    from dataclasses import replace

    return replace(observed, observed=replace(observed.observed, status=after))


@pytest.mark.parametrize("final", [SUCCEEDED, FAILED], ids=["Succeeded", "Failed"])
@pytest.mark.parametrize(
    "children",
    [
        {},
        {"training": child(running())},
        {"training": child(ended(1), failed_reason="BackoffLimitExceeded")},
        {"check": child(running())},
    ],
    ids=["children gone", "runs", "failed", "checks"],
)
def test_the_end_is_final_and_nothing_is_made_again(final, children):
    observed = case(status=final, **children)
    verdict = decide(observed)
    assert not verdict.actions
    assert next_status(observed.observed, verdict, NOW) == final


def test_what_is_left_of_a_failed_job_is_taken_away_by_the_next_process():
    assert decide(case(status=FAILED, training=child(running()))).cleanup == STOP


@pytest.mark.parametrize(
    ("ttl", "actions", "requeue"), [("4s", (DeleteSelf(),), None), ("9s", (), 4.0), (None, (), None)]
)
def test_time_to_live_is_kept_to_the_second(ttl, actions, requeue):
    policy = {"policy": {"ttlAfterFinished": ttl}} if ttl else {}
    verdict = decide(case(policy, status=SUCCEEDED))
    assert (verdict.actions, verdict.requeue) == (actions, requeue)


@pytest.mark.parametrize(
    ("told", "live", "installed", "actions"),
    [
        (None, None, True, ()),  # the rollout has not begun
        ("Holding", "Holding", True, ()),  # in mid-canary: without its job it would be rolled back
        ("Promoting", "Promoting", True, ()),
        ("Holding", "Promoted", True, ()),  # promoted, and the status does not say so yet
        ("Promoted", "Promoted", True, (DeleteSelf(),)),
        ("RolledBack", "RolledBack", True, (DeleteSelf(),)),
        ("Superseded", "Superseded", True, (DeleteSelf(),)),
        (None, None, False, (DeleteSelf(),)),  # without KServe nothing is in the middle of anything
    ],
)
def test_a_job_whose_time_is_over_outlives_its_rollout(told, live, installed, actions):
    status = SUCCEEDED.model_copy(update={"serving": told and ServingStatus(phase=RolloutPhase(told))})
    verdict = decide(
        case(
            SERVING | {"policy": {"ttlAfterFinished": "4s"}},
            status=status,
            serving_installed=installed,
            serving=live and ServingStatus(phase=RolloutPhase(live)),
        )
    )
    assert verdict.actions == actions
    # An event tells that a rollout has ended, and then the job is looked at again at once; until then, each minute.
    unsettled = installed and live in {None, "Holding", "Promoting"}
    assert verdict.requeue == (60.0 if unsettled else 0.0 if live == "Promoted" != told else None)


def test_nothing_is_done_for_a_job_that_is_being_deleted():
    verdict = decide(case(deleting=True))
    assert verdict.silent
    assert not verdict.actions


def test_a_training_job_that_is_being_deleted_is_waited_for():
    assert decide(case(training=child(running(), deleting=True))).silent


def test_a_pod_that_is_late_behind_its_job_is_waited_for_and_not_for_ever():
    late = case(training=child(complete=True, completion_time=ago(5)))
    assert decide(late).silent
    lost = case(training=child(complete=True, completion_time=ago(11)))
    assert not decide(lost).silent


def test_a_deadline_is_looked_at_when_it_is_due():
    verdict = decide(case({"policy": {"pendingDeadline": "2m"}}, training=child(pending(30))))
    assert verdict.requeue == 90.0


def test_the_result_is_in_the_status():
    observed = case(GATE, training=DONE)
    after = next_status(observed.observed, decide(observed), NOW)
    assert after.result.wire() == RESULT
    assert (after.metric_text, after.progress_text) == ("0.979 (99.1%)", "100%")
    assert (
        "drop 0.009, 95 % interval 0.003 to 0.016, allowed 0.02"
        in {c.type: c.message for c in after.conditions}["GatePassed"]
    )


@pytest.mark.parametrize("message", ["10 and 12", "10 and 12.", "10 and 12. No GPU was requested."])
def test_that_no_gpu_was_asked_for_is_said_once(message):
    broken = ended(65, {"reason": "ClassCountMismatch", "message": message})
    verdict = decide(case(check=child(broken, failed_reason="PodFailurePolicy")))
    assert {said.message for said in verdict.said if said.reason == "ClassCountMismatch"} == {
        "10 and 12. No GPU was requested"
    }


def test_every_reason_is_in_a_row():
    shown = {row[3][2] for row in ROWS}
    said = {said.reason for row in ROWS for said in decide(row[1]).said}
    assert set(Reason) <= shown | said


@pytest.mark.parametrize("observed", [row[1] for row in ROWS if row[1].observed.status.phase != "Succeeded"])
def test_whichever_process_speaks_first_says_what_it_stands_on(observed):
    said = {one.type: one.status for one in decide(observed).said}
    assert "Accepted" in said
    assert observed.training is None or said["ContractValid"] == "True"
