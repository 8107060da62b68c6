"""A version's plan as annotations of its InferenceService: readable, and enough to go on when its job is deleted."""

from __future__ import annotations

from distill_api.base import seconds
from distill_api.delivery import Canary
from distill_operator.rollout.model import Plan, Step
from distill_operator.rollout.times import span


def plan_from(canary: Canary) -> Plan:
    """The plan that a job asks for."""
    steps = tuple(Step(step.weight, seconds(step.hold)) for step in canary.steps)
    return Plan(steps, seconds(canary.progress_deadline))


DEFAULT_PLAN = plan_from(Canary())


def steps_text(plan: Plan) -> str:
    """`10=1m,50=1m`."""
    return ",".join(f"{step.weight}={span(step.hold)}" for step in plan.steps)


def parse_plan(steps: str, deadline: str) -> Plan:
    """The plan of the annotations; the API's default where they were edited into something else."""
    try:
        pairs = [part.split("=") for part in steps.split(",")]
        parsed = tuple(Step(int(weight), seconds(hold)) for weight, hold in pairs)
        if not all(1 <= step.weight <= 99 for step in parsed):
            return DEFAULT_PLAN
        return Plan(parsed, seconds(deadline))
    except ValueError:
        return DEFAULT_PLAN
