"""The status of a job: made from a verdict, compared with what stands there, told as Events. Pure."""

from distill_operator.status.changes import Urgency, changes_of, urgency
from distill_operator.status.conditions import phase_of
from distill_operator.status.make import next_status
from distill_operator.status.told import Told, told

__all__ = ["Told", "Urgency", "changes_of", "next_status", "phase_of", "told", "urgency"]
