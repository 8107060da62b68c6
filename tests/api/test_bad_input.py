"""Every wrong YAML that the schema can see ends at `kubectl apply`, in a sentence with field, value and remedy.

One table, two judges: the real API server, and pydantic with `distill_api.validate.explain` (what the trainer and the
command line say). Where both know the rule, both say the same words.
"""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from distill_api import DistillationJob
from distill_api.contract import TrainerConfig
from distill_api.training import Objective
from distill_api.validate import explain

GONE = "(removed)"
URI_SAYS = "must be pvc://<claim>/<path> or file:///<path>, without .. in the path"
DATA_URI_SAYS = (
    "must be pvc://<claim>/<path>, file:///<path>, s3://<bucket>/<prefix>, gs://<bucket>/<prefix> or https://<host>/<path>, "
    "without .. in the path"
)
SECRET_SAYS = "has an effect on s3://, gs://, https:// and data of the hub alone: remove it"
DURATION_SAYS = "must be a duration such as 30s, 5m or 1h30m"
QUANTITY_SAYS = "must be a Kubernetes quantity such as 500m, 2 or 4Gi"
NAME_64 = "n" * 64

# patch to the good job → (words of the field, words of the value, words of the remedy): each is in what the user reads.
BAD = {
    "alpha 1.5": (
        {"spec.objective.alpha": 1.5},
        ("spec.objective.alpha: ", "1.5", "must be between 0 (teacher only) and 1 (labels only)"),
    ),
    "alpha below 0": (
        {"spec.objective.alpha": -0.1},
        ("spec.objective.alpha: ", "-0.1", "must be between 0 (teacher only) and 1 (labels only)"),
    ),
    "shared by one process": (
        {"spec.training.strategy": "FSDP"},
        ("spec.training.strategy: ", "FSDP has no effect on one process", "raise resources.nodes"),
    ),
    "no node": ({"spec.resources.nodes": 0}, ("spec.resources.nodes: ", "0", "1")),
    "temperature 0": (
        {"spec.objective.temperature": 0},
        ("spec.objective.temperature: ", "0: must be more than 0", "4 is a good start"),
    ),
    "temperature 101": (
        {"spec.objective.temperature": 101},
        ("spec.objective.temperature: ", "101", "at most 100"),
    ),
    "attention without layers": (
        {"spec.objective.terms": [{"type": "KLDivergence"}, {"type": "AttentionTransfer"}]},
        (
            "spec.objective.terms[1].pairs: ",
            "is required for AttentionTransfer: name at least one teacher and student layer",
        ),
    ),
    "hint without layers": (
        {"spec.objective.terms": [{"type": "Hint"}]},
        (
            "spec.objective.terms[0].pairs: ",
            "is required for Hint: name at least one teacher and student layer",
        ),
    ),
    "temperature of raw logits": (
        {"spec.objective.terms": [{"type": "MSELogits", "temperature": 2}]},
        (
            "spec.objective.terms[0].temperature: ",
            "belongs to KLDivergence, SoftTargetCrossEntropy, Contrastive and Decoupled alone: remove it",
        ),
    ),
    "layers of a loss of logits": (
        {"spec.objective.terms": [{"type": "Decoupled", "pairs": [{"teacher": "a", "student": "b"}]}]},
        (
            "spec.objective.terms[0].pairs: ",
            "belongs to AttentionTransfer, Hint, Relational and Contrastive alone",
        ),
    ),
    "a store that nothing is put into": (
        {"spec.teacherOutputs": {"mode": "Online", "store": {"uri": "pvc://models/x"}}},
        ("spec.teacherOutputs.store: ", "has no effect with mode Online", "remove it, or set mode to Cached"),
    ),
    "an encoding of nothing": (
        {"spec.teacherOutputs": {"mode": "Online", "encoding": "TopK"}},
        (
            "spec.teacherOutputs.encoding: ",
            "has no effect with mode Online",
            "remove it, or set mode to Cached",
        ),
    ),
    "k of all classes": (
        {"spec.teacherOutputs": {"encoding": "Dense", "topK": 8}},
        ("spec.teacherOutputs.topK: ", "belongs to the encodings TopK and Sampled alone", "remove topK"),
    ),
    "k of whatever is chosen": (
        {"spec.teacherOutputs": {"topK": 8}},
        ("spec.teacherOutputs.topK: ", "belongs to the encodings TopK and Sampled alone", "remove topK"),
    ),
    "a budget that nobody keeps to": (
        {"spec.teacherOutputs": {"mode": "Cached", "budget": "1Gi"}},
        ("spec.teacherOutputs.budget: ", "has no effect unless mode is Auto", "set mode to Auto"),
    ),
    "a store nowhere": (
        {"spec.teacherOutputs": {"store": {"uri": "models/x"}}},
        ("spec.teacherOutputs.store.uri: ", "models/x", URI_SAYS),
    ),
    "memory of another type": (
        {"spec.objective.terms": [{"type": "Relational", "negatives": 9}]},
        (
            "spec.objective.terms[0].negatives: ",
            "belongs to Contrastive alone: remove it, or change the type",
        ),
    ),
    "beta of KL": (
        {"spec.objective.terms": [{"type": "KLDivergence", "beta": 0.5}]},
        ("spec.objective.terms[0].beta: ", "belongs to variant JensenShannon alone"),
    ),
    "beta 1 of Jensen-Shannon": (
        {"spec.objective.terms": [{"type": "KLDivergence", "variant": "JensenShannon", "beta": 1}]},
        (
            "spec.objective.terms[0].beta: ",
            "must be more than 0 and less than 1",
            "use variant Forward",
            "Reverse",
        ),
    ),
    "beta 0 of Jensen-Shannon": (
        {"spec.objective.terms": [{"type": "KLDivergence", "variant": "JensenShannon", "beta": 0}]},
        (
            "spec.objective.terms[0].beta: ",
            "must be more than 0 and less than 1",
            "use variant Forward",
            "Reverse",
        ),
    ),
    "skew of Reverse": (
        {"spec.objective.terms": [{"type": "KLDivergence", "variant": "Reverse", "skew": 0.1}]},
        ("spec.objective.terms[0].skew: ", "belongs to variant Skewed alone"),
    ),
    "nothing relational": (
        {"spec.objective.terms": [{"type": "Relational", "distance": 0, "angle": 0}]},
        ("spec.objective.terms[0].angle: ", "must not be 0 together with distance"),
    ),
    "two pairs of relations": (
        {"spec.objective.terms": [{"type": "Relational", "pairs": [{"teacher": "a", "student": "b"}] * 2}]},
        ("spec.objective.terms[0].pairs: ", "must be one pair for Relational and Contrastive"),
    ),
    "projection of attention": (
        {
            "spec.objective.terms": [
                {
                    "type": "AttentionTransfer",
                    "pairs": [{"teacher": "a", "student": "b", "projection": "Linear"}],
                }
            ]
        },
        ("spec.objective.terms[0].pairs: ", "must not have a projection unless the type is Hint"),
    ),
    "term without weight": (
        {"spec.objective.terms": [{"type": "MSELogits", "weight": 0}]},
        ("spec.objective.terms[0].weight: ", "0: must be more than 0 (leave the term out instead)"),
    ),
    "whole skew": (
        {"spec.objective.terms": [{"type": "KLDivergence", "variant": "Skewed", "skew": 1}]},
        ("spec.objective.terms[0].skew: ", "1: must be more than 0 and less than 1"),
    ),
    "no learning rate": (
        {"spec.training.learningRate": 0},
        ("spec.training.learningRate: ", "must be more than 0 and at most 10"),
    ),
    "no clipping by 0": (
        {"spec.training.gradientClip": 0},
        ("spec.training.gradientClip: ", "must be more than 0; leave it out for no clipping"),
    ),
    "warm-up of 2": (
        {"spec.training.warmupRatio": 2},
        ("spec.training.warmupRatio: ", "2: must be between 0"),
    ),
    "no epochs": ({"spec.training.epochs": 0}, ("spec.training.epochs: ", "0", "greater than or equal to 1")),
    "no batch": ({"spec.training.batchSize": 0}, ("spec.training.batchSize: ", "greater than or equal to 1")),
    "negative seed": (
        {"spec.training.seed": -1},
        ("spec.training.seed: ", "-1", "greater than or equal to 0"),
    ),
    "negative GPUs": (
        {"spec.resources.gpusPerNode": -1},
        ("spec.resources.gpusPerNode: ", "greater than or equal to 0"),
    ),
    "limit 0": ({"spec.dataset.limit": 0}, ("spec.dataset.limit: ", "greater than or equal to 1")),
    "no source of the teacher": (
        {"spec.teacher.builtin": GONE},
        (
            "spec.teacher: ",
            "set exactly one of builtin, huggingFace, timm, torchvision, python; set now: none",
        ),
    ),
    "two sources of the teacher": (
        {"spec.teacher.huggingFace": {"id": "org/model"}},
        (
            "spec.teacher: ",
            "set exactly one of builtin, huggingFace, timm, torchvision, python; set now: builtin huggingFace",
        ),
    ),
    "no source of the student": (
        {"spec.student.builtin": GONE},
        (
            "spec.student: ",
            "set exactly one of builtin, huggingFace, timm, torchvision, python; or initFromTeacher alone",
        ),
    ),
    "two sources of the data": (
        {"spec.dataset.files": {"uri": "pvc://data/train", "format": "Idx"}},
        ("spec.dataset: ", "set exactly one of builtin, files, huggingFace; set now: builtin files"),
    ),
    "no source of the data": (
        {"spec.dataset.builtin": GONE},
        ("spec.dataset: ", "set exactly one of builtin, files, huggingFace; set now: none"),
    ),
    "untrained teacher": (
        {"spec.teacher.weights": GONE},
        (
            "spec.teacher.weights: ",
            "is required for a teacher of builtin, timm or torchvision",
            "an untrained teacher teaches nothing",
        ),
    ),
    "untrained teacher of timm": (
        {"spec.teacher": {"timm": {"name": "resnet18"}}},
        ("spec.teacher.weights: ", "is required for a teacher of builtin, timm or torchvision"),
    ),
    "two sources of the student": (
        {"spec.student.python": {"factory": "nets:small"}},
        (
            "spec.student: ",
            "set exactly one of builtin, huggingFace, timm, torchvision, python; or initFromTeacher alone",
        ),
    ),
    "layers of a teacher in a network of one's own": (
        {"spec.student": {"python": {"factory": "nets:small"}, "initFromTeacher": {"count": 2}}},
        ("spec.student.initFromTeacher: ", "copies layers of Transformers models"),
    ),
    "factory without a function": (
        {"spec.student": {"python": {"factory": "shop_models.nets"}}},
        ("spec.student.python.factory: ", "shop_models.nets", "must be package.module:function"),
    ),
    "a network that is fetched": (
        {"spec.student": {"timm": {"name": "hf-hub:org/model"}}},
        ("spec.student.timm.name: ", "hf-hub:org/model", "must be the plain name of an architecture"),
    ),
    "broken texts": (
        {
            "spec.task": "TextClassification",
            "spec.dataset": {"files": {"uri": "pvc://data/x", "format": "Csv"}, "maxBrokenSamples": 3},
        },
        ("spec.dataset.maxBrokenSamples: ", "leaves out pictures"),
    ),
    "broken pictures of a data set that is there": (
        {"spec.dataset.maxBrokenSamples": 3},
        ("spec.dataset.maxBrokenSamples: ", "which this data has none of: remove it"),
    ),
    "adapters of a builtin network": (
        {"spec.student.lora": {"rank": 4}},
        ("spec.student.lora: ", "adapts Transformers models: remove it"),
    ),
    "adapters of no rank": (
        {"spec.student": {"huggingFace": {"id": "org/small"}, "lora": {"rank": 0}}},
        ("spec.student.lora.rank: ", "greater than or equal to 1"),
    ),
    "empty gate": (
        {"spec.gate": {}},
        ("spec.gate: ", "set maxDropVsTeacher or minValue (or both): without them nothing is judged"),
    ),
    "gate in percent": (
        {"spec.gate.maxDropVsTeacher": 2},
        ("spec.gate.maxDropVsTeacher: ", "2", "must be between 0 (no worse at all) and 1"),
    ),
    "gate on another metric": (
        {"spec.gate.metric": "macroF1"},
        ("spec.gate.metric: ", "must be the metric that is measured: set evaluation.metric to the same"),
    ),
    "gate at another level": (
        {"spec.gate.confidence": 0.9},
        ("spec.gate.confidence: ", "must equal evaluation.confidence (0.95 when not given)"),
    ),
    "certainty": (
        {"spec.evaluation.confidence": 1, "spec.gate": GONE},
        ("spec.evaluation.confidence: ", "1: must be at least 0.5 and less than 1"),
    ),
    "bucket": ({"spec.output.uri": "s3://students/x"}, ("spec.output.uri: ", '"s3://students/x"', URI_SAYS)),
    "data at an unknown kind of place": (
        {"spec.dataset": {"files": {"uri": "abfs://box/x", "format": "Csv"}}},
        ("spec.dataset.files.uri: ", '"abfs://box/x"', DATA_URI_SAYS),
    ),
    "data with a password": (
        {"spec.dataset": {"files": {"uri": "https://me:word@host/x.csv", "format": "Csv"}}},
        ("spec.dataset.files.uri: ", DATA_URI_SAYS),
    ),
    "data above the prefix": (
        {"spec.dataset": {"files": {"uri": "s3://box/../x", "format": "Csv"}}},
        ("spec.dataset.files.uri: ", '"s3://box/../x"', DATA_URI_SAYS),
    ),
    "limit of what is not fetched": (
        {"spec.dataset": {"files": {"uri": "pvc://d/x", "format": "Csv", "sizeLimit": "1Gi"}}},
        ("spec.dataset.files.sizeLimit: ", "limits what is fetched", "uri names neither: remove it"),
    ),
    "secret for builtin data": (
        {"spec.dataset.secretRef": {"name": "s3"}},
        ("spec.dataset.secretRef: ", SECRET_SAYS),
    ),
    "secret for a claim": (
        {"spec.dataset": {"files": {"uri": "pvc://d/x", "format": "Csv"}, "secretRef": {"name": "s3"}}},
        ("spec.dataset.secretRef: ", SECRET_SAYS),
    ),
    "secret for all to read": (
        {
            "spec.dataset": {
                "files": {"uri": "http://host/x.csv", "format": "Csv"},
                "secretRef": {"name": "s3"},
            }
        },
        ("spec.dataset.secretRef: ", SECRET_SAYS),
    ),
    "secret for a folder in the hub's format": (
        {"spec.dataset": {"huggingFace": {"id": "pvc://d/x"}, "secretRef": {"name": "hub"}}},
        ("spec.dataset.secretRef: ", SECRET_SAYS),
    ),
    "claim without a path": ({"spec.output.uri": "pvc://students"}, ("spec.output.uri: ", URI_SAYS)),
    "output of 901 bytes": (
        {"spec.output.uri": "pvc://models/" + "ü" * 444},
        ("spec.output.uri: ", "must have at most 900 bytes: use a shorter path"),
    ),
    "empty URI": ({"spec.output.uri": ""}, ("spec.output.uri: ", URI_SAYS)),
    "claim in capitals": ({"spec.output.uri": "pvc://Students/x"}, ("spec.output.uri: ", URI_SAYS)),
    "out of the claim": (
        {"spec.teacher.weights.uri": "pvc://models/../../etc/passwd"},
        ("spec.teacher.weights.uri: ", '"pvc://models/../../etc/passwd"', URI_SAYS),
    ),
    "duration without a unit": (
        {"spec.policy": {"pendingDeadline": "30"}},
        ("spec.policy.pendingDeadline: ", '"30"', DURATION_SAYS),
    ),
    "duration in days": (
        {"spec.policy": {"activeDeadline": "2d"}},
        ("spec.policy.activeDeadline: ", '"2d"', DURATION_SAYS),
    ),
    "empty duration": (
        {"spec.policy": {"ttlAfterFinished": ""}},
        ("spec.policy.ttlAfterFinished: ", DURATION_SAYS),
    ),
    "memory in words": (
        {"spec.resources.memory": "lots"},
        ("spec.resources.memory: ", '"lots"', QUANTITY_SAYS),
    ),
    "negative CPU": ({"spec.resources.cpu": -1}, ("spec.resources.cpu: ", "-1", QUANTITY_SAYS)),
    "GPU without a vendor": (
        {"spec.resources.gpuResource": "gpu"},
        ("spec.resources.gpuResource: ", '"gpu"', "must be <vendor>/<resource>, as in nvidia.com/gpu"),
    ),
    "service in capitals": (
        {"spec.serving.kserve.inferenceService": "Digits"},
        ("spec.serving.kserve.inferenceService: ", '"Digits"', "must be at most 40 lower-case letters"),
    ),
    "weight 100": (
        {"spec.serving.canary": {"steps": [{"weight": 100, "hold": "1m"}]}},
        ("spec.serving.canary.steps[0].weight: ", "100", "must be between 1 and 99: 100 is the promotion"),
    ),
    "weight 0": (
        {"spec.serving.canary": {"steps": [{"weight": 0, "hold": "1m"}]}},
        ("spec.serving.canary.steps[0].weight: ", "0: must be between 1 and 99"),
    ),
    "falling weights": (
        {"spec.serving.canary": {"steps": [{"weight": 50, "hold": "1m"}, {"weight": 10, "hold": "1m"}]}},
        ("spec.serving.canary.steps: ", "weights must not fall from one step to the next"),
    ),
    "toleration of all values with a value": (
        {"spec.resources.template": {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "a"}]}},
        ("spec.resources.template.tolerations[0].value: ", "must be left out with operator Exists"),
    ),
    "toleration of no key": (
        {"spec.resources.template": {"tolerations": [{"operator": "Equal"}]}},
        ("spec.resources.template.tolerations[0].key: ", "is required with operator Equal"),
    ),
    "selector with a space": (
        {"spec.resources.template": {"nodeSelector": {"gpu": "A 100"}}},
        ("spec.resources.template.nodeSelector[gpu]: ", '"A 100"', "must be a label's value"),
    ),
    "bad variable": (
        {"spec.resources.template": {"env": [{"name": "A-B", "value": ""}]}},
        ("spec.resources.template.env[0].name: ", '"A-B"', "must be letters, digits and _"),
    ),
}


@pytest.fixture(scope="module")
def answers(dry, change, digits_text):
    """What `kubectl apply` says to every row of BAD, in one go."""
    good = yaml.safe_load(digits_text)
    spoilt = [
        change(good, {**changes, "metadata.name": f"spoilt-{row}"})
        for row, (changes, _) in enumerate(BAD.values())
    ]
    refusals = dry.refusals(spoilt, "--dry-run=server")
    return {case: refusals.get(f"spoilt-{row}", "it was accepted") for row, case in enumerate(BAD)}


@pytest.mark.cluster
@pytest.mark.parametrize("case", BAD)
def test_the_api_server_refuses_it_in_a_sentence(answers, case):
    answer = answers[case]
    assert [word for word in BAD[case][1] if word not in answer] == [], answer


@pytest.mark.parametrize(("changes", "words"), BAD.values(), ids=BAD.keys())
def test_python_refuses_it_in_the_same_words(spoil, changes, words):
    with pytest.raises(ValidationError) as refused:
        DistillationJob.model_validate(spoil(changes))
    answer = "\n".join(explain(refused.value))
    assert [word for word in words if word not in answer] == [], answer


# What the API server says in its own words: (patch, its words, ours).
IN_OWN_WORDS = {
    "missing teacher": (
        {"spec.teacher": GONE},
        ("spec.teacher: Required value",),
        ("spec.teacher: required, but not given. The trained model whose outputs the student learns.",),
    ),
    "missing folder": (
        {"spec.output": {}},
        ("spec.output.uri: Required value",),
        ("spec.output.uri: required, but not given. Folder, pvc://<claim>/<path>.",),
    ),
    "unknown task": (
        {"spec.task": "Cooking"},
        ('spec.task: Unsupported value: "Cooking": supported values: "ImageClassification"',),
        ("spec.task: \"Cooking\": must be 'ImageClassification'",),
    ),
    "unknown optimizer": (
        {"spec.training.optimizer": "adam"},
        ('spec.training.optimizer: Unsupported value: "adam": supported values: "AdamW", "SGD"',),
        ("spec.training.optimizer: \"adam\": must be 'AdamW' or 'SGD'",),
    ),
    "unknown field": (
        {"spec.training.epoch": 3},
        ('unknown field "spec.training.epoch"',),
        ('spec.training.epoch: unknown field; did you mean "epochs"?',),
    ),
    "field in the wrong place": (
        {"spec.objective.epochs": 3},
        ('unknown field "spec.objective.epochs"',),
        ("spec.objective.epochs: unknown field; known here: alpha, temperature, terms",),
    ),
    "text for a number": (
        {"spec.training.epochs": "many"},
        ("spec.training.epochs", "must be of type integer"),
        ('spec.training.epochs: "many": must be a valid integer',),
    ),
    "long name of a network": (
        {"spec.student.builtin.name": NAME_64},
        ("spec.student.builtin.name: Too long: may not be more than 63",),
        (f'spec.student.builtin.name: "{NAME_64}": ', "at most 63 characters"),
    ),
    "long service": (
        {"spec.serving.kserve.inferenceService": "s" * 41},
        ("spec.serving.kserve.inferenceService: Too long: may not be more than 40",),
        ("spec.serving.kserve.inferenceService: ", "must be at most 40 lower-case letters"),
    ),
    "no steps": (
        {"spec.serving.canary": {"steps": []}},
        ("spec.serving.canary.steps", "should have at least 1 items"),
        ("spec.serving.canary.steps: ", "at least 1 item"),
    ),
    "too many steps": (
        {"spec.serving.canary": {"steps": [{"weight": 1, "hold": "1s"}] * 17}},
        ("spec.serving.canary.steps: Too many: 17: must have at most 16 items",),
        ("spec.serving.canary.steps: ", "at most 16 items"),
    ),
}


@pytest.mark.cluster
@pytest.mark.parametrize(("changes", "words", "_"), IN_OWN_WORDS.values(), ids=IN_OWN_WORDS.keys())
def test_the_api_server_refuses_it_in_its_own_words(dry, spoil, changes, words, _):
    answer = dry.refusal(spoil(changes), "--dry-run=server")
    assert [word for word in words if word not in answer] == [], answer


@pytest.mark.parametrize(("changes", "_", "words"), IN_OWN_WORDS.values(), ids=IN_OWN_WORDS.keys())
def test_python_refuses_it_too(spoil, changes, _, words):
    with pytest.raises(ValidationError) as refused:
        DistillationJob.model_validate(spoil(changes))
    answer = "\n".join(explain(refused.value))
    assert [word for word in words if word not in answer] == [], answer


@pytest.mark.cluster
def test_every_fault_is_named_at_once(dry, spoil):
    changes = {"spec.objective": {"alpha": 1.5, "temperature": 0}, "spec.policy": {"pendingDeadline": "soon"}}
    answer = dry.refusal(spoil(changes), "--dry-run=server")
    assert answer.count("Invalid value") == 3, answer


def test_a_part_of_a_spec_is_named_as_the_user_wrote_it():
    with pytest.raises(ValidationError) as refused:
        Objective.model_validate({"alpha": 2})
    assert explain(refused.value, Objective, at="spec.objective") == [
        "spec.objective.alpha: 2: must be between 0 (teacher only) and 1 (labels only)"
    ]


def test_a_long_value_does_not_bury_the_sentence(spoil):
    with pytest.raises(ValidationError) as refused:
        DistillationJob.model_validate(spoil({"spec.output.uri": "s3://" + "x" * 900}))
    (sentence,) = explain(refused.value)
    assert sentence.endswith(URI_SAYS)
    assert len(sentence) < 200


def test_what_is_no_json_is_said_in_a_sentence():
    with pytest.raises(ValidationError) as refused:
        TrainerConfig.model_validate_json('{"job": ')
    (sentence,) = explain(refused.value, TrainerConfig)
    assert sentence.startswith("the document: ")
    assert "Invalid JSON" in sentence
