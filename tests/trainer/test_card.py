"""The model card: metadata that a hub reads, by the hub's own library, and a text for people."""

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from transformers.pipelines import check_task

from distill_api.contract import TrainerConfig
from distill_api.status import Drop, Lineage
from distill_api.training import Metric, Task
from distill_trainer.card import model_card
from distill_trainer.card.front import front
from distill_trainer.card.metadata import metadata
from distill_trainer.tasks import kit_of

LINEAGE = Lineage(teacher_digest="t", dataset_digest="d", recipe_digest="r", student_digest="s")


@pytest.fixture
def result(workspace):
    """Of a real run."""
    return workspace.train(training={"epochs": 1}).outcome.result


def config(workspace, **changes):
    return TrainerConfig.model_validate(workspace.config(**changes))


def test_every_task_has_a_pipeline_that_transformers_knows():
    for task in Task:
        kit = kit_of(task)
        assert check_task(kit.pipeline)[0] == kit.pipeline
        assert kit.hub_task == ("sentence-similarity" if task is Task.EMBEDDING else kit.pipeline)


def test_the_card_is_read_by_the_hub_library(workspace):
    ended = workspace.train(training={"epochs": 1})
    result, card = ended.outcome.result, ModelCard.load(workspace.version(ended) / "README.md")
    assert card.data.library_name == "pytorch"
    assert card.data.tags == ["knowledge-distillation"]
    assert card.data.metrics == ["accuracy"]
    assert card.data.license is None  # nobody said one
    assert card.data.base_model is None  # nothing of it lies on a hub
    [measured] = card.data.eval_results
    assert measured.task_type == "image-classification"
    assert measured.metric_type == "accuracy"
    assert (measured.dataset_name, measured.dataset_split) == ("digits", "test")
    assert measured.metric_value == pytest.approx(result.student.metric, abs=1e-6)
    assert ended.outcome.lineage.student_digest in card.text
    assert "# digits\n" in card.text
    assert f"| parameters | {result.student.parameters:,} | {result.teacher.parameters:,} |" in card.text


def test_what_lies_on_a_hub_is_named(workspace, result):
    hub = {
        "teacher": {"huggingFace": {"id": "org/teacher"}},
        "student": {"huggingFace": {"id": "org/student"}},
        "dataset": {"huggingFace": {"id": "org/data"}},
        "task": "TextClassification",
    }
    found = metadata(config(workspace, **hub), "data", result)
    assert found["base_model"] == ["org/student", "org/teacher"]
    assert found["datasets"] == ["org/data"]
    assert found["library_name"] == "transformers"
    assert found["model-index"][0]["results"][0]["dataset"] == {
        "type": "org/data",
        "name": "data",
        "split": "test",
    }
    own = {**hub, "student": {"initFromTeacher": {"count": 1}}}
    assert metadata(config(workspace, **own), "data", result)["base_model"] == ["org/teacher"]
    local = {**hub, "student": {"huggingFace": {"id": "file:///models/mine"}}}
    assert metadata(config(workspace, **local), "data", result)["base_model"] == ["org/teacher"]
    kept = ModelCardData(**{**found, "model-index": None})
    assert kept.to_dict()["base_model"] == ["org/student", "org/teacher"]


def test_a_language_model_has_its_perplexity(workspace, result):
    student, teacher = (
        model.model_copy(update={"perplexity": value})
        for model, value in ((result.student, 7.4567891), (result.teacher, 2.0))
    )
    spoken = result.model_copy(update={"student": student, "teacher": teacher})
    card = ModelCard(model_card(config(workspace), ("s", "t"), "texts", spoken, LINEAGE))
    assert {each.metric_type: each.metric_value for each in card.data.eval_results}["perplexity"] == 7.45679
    assert "| perplexity (less is better) | 7.46 | 2.00 |" in card.text


def test_the_difference_is_told_by_its_side(workspace, result):
    def text(**changes):
        return model_card(config(workspace), ("s", "t"), "d", result.model_copy(update=changes), LINEAGE)

    below = Drop(value=0.02, low=0.01, high=0.03, confidence=0.95)
    above = Drop(value=-0.02, low=-0.03, high=-0.01, confidence=0.95)
    assert "The student is 0.0200 below its teacher" in text(drop=below)
    assert "The student is 0.0200 above its teacher" in text(drop=above)
    assert "its teacher;" not in text(metric=Metric.SPEARMAN)


def test_front_matter_is_yaml_whatever_is_in_it():
    odd = ["on", "1e5", "a: b", "# no", "- no", "ü \" \\ '", "two\nlines", "null", "~"]
    document = {
        "texts": odd,
        "nested": [{"a": [{"b": 1, "c": [True, 0.5]}], "d": {"e": odd}}, {"f": "g"}],
        "plain": "x",
    }
    text = front(document)
    assert yaml.safe_load(text) == document
    assert max(map(len, text.splitlines())) < 40
