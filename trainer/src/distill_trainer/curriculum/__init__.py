"""What changes while the student is trained, as pure functions of the step and the epoch: a resumed run needs no state.

Called by the loop; `spec.curriculum` says what changes.
"""

from distill_trainer.curriculum.course import Course, Settings
from distill_trainer.curriculum.timetable import Timetable, timetable

__all__ = ["Course", "Settings", "Timetable", "timetable"]
