"""What the STUDENT column says of a student that is made of its teacher's layers."""

import pytest

from distill_api.sources import Student
from distill_operator.status.texts import model_name


@pytest.mark.parametrize("init", [{"count": 3}, {"layers": [0, 2, 5]}])
def test_a_student_without_a_source_is_named_by_its_layers(init):
    assert model_name(Student.model_validate({"initFromTeacher": init})) == "3 of the teacher's layers"


def test_a_student_with_a_config_of_its_own_keeps_its_name():
    named = {"huggingFace": {"id": "org/small"}, "initFromTeacher": {"count": 3}}
    assert model_name(Student.model_validate(named)) == "small"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"timm": {"name": "resnet18"}}, "resnet18"),
        ({"torchvision": {"name": "alexnet"}}, "alexnet"),
        ({"python": {"factory": "shop_models.nets:small"}}, "shop_models.nets:small"),
    ],
)
def test_networks_of_libraries_and_functions_are_named_by_them(source, name):
    assert model_name(Student.model_validate(source)) == name
