"""What a task's clients send and are answered, one file for each kind of input. `endpoint_of` chooses it by the student.

A further kind is one file with an `Endpoint` and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

from distill_api.training import Task
from distill_server.endpoints.endpoint import Endpoint
from distill_server.endpoints.pictures import Pictures
from distill_server.endpoints.sentences import Sentences
from distill_server.endpoints.texts import Texts
from distill_server.endpoints.words import Words
from distill_trainer.errors import ConfigInvalid
from distill_trainer.student import Student

__all__ = ["Endpoint", "endpoint_of"]

_ENDPOINTS: dict[Task, Callable[[Student], Endpoint]] = {
    Task.IMAGE_CLASSIFICATION: Pictures.of,
    Task.TEXT_CLASSIFICATION: Texts.of,
    Task.TOKEN_CLASSIFICATION: Words.of,
    Task.EMBEDDING: Sentences.of,
}


def endpoint_of(student: Student) -> Endpoint:
    """The endpoint of the student's task. Raises ConfigInvalid where this server has none."""
    if student.task not in _ENDPOINTS:
        raise ConfigInvalid(
            f"the student's task is {student.task.value}: this server answers for "
            f"{', '.join(task.value for task in _ENDPOINTS)}"
        )
    return _ENDPOINTS[student.task](student)
