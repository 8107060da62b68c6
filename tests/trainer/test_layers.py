"""Layers by name: what is found, what is watched, and what the contract check says where a name or a size is wrong."""

import pytest
import torch
from torch import nn

from distill_api.contract import ExitCode
from distill_api.terms import Term
from distill_trainer.layers import layer_names, matching_layers, watch
from distill_trainer.plan import term_names


def network():
    return nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 1))


def test_a_star_stands_for_one_part_of_a_name():
    assert layer_names(network()) == ["0", "1", "1.0", "1.1", "2"]
    assert matching_layers(network(), "1.*") == ["1.0", "1.1"]
    assert matching_layers(network(), "*") == ["0", "1", "2"]
    assert matching_layers(network(), "1") == ["1"]
    assert matching_layers(network(), "1x0") == []


def test_watching_ends_with_its_block():
    model, inputs = network(), torch.ones(1, 2)
    with watch(model, ["1.0", "2"]) as seen:
        output = model(inputs)
    assert list(seen) == ["1.0", "2"]
    assert torch.equal(seen["2"], output)
    before = dict(seen)
    model(2 * inputs)
    assert torch.equal(seen["1.0"], before["1.0"])


def test_a_layer_that_gives_several_values_counts_with_its_first():
    model = nn.LSTM(2, 3, batch_first=True)
    wrapped = nn.Sequential(model)
    with watch(wrapped, ["0"]) as seen:
        outputs, _ = wrapped(torch.ones(1, 4, 2))
    assert torch.equal(seen["0"], outputs)


def test_names_are_the_same_under_ddp(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(network())
        assert layer_names(wrapped) == layer_names(network())
        with watch(wrapped, ["1.0"]) as seen:
            wrapped(torch.ones(1, 2))
        assert seen["1.0"].abs().sum() > 0
    finally:
        torch.distributed.destroy_process_group()


def test_terms_of_one_type_are_told_apart():
    terms = [
        {"type": "KLDivergence"},
        {"type": "KLDivergence", "variant": "Reverse"},
        {"type": "MSELogits"},
        {"type": "KLDivergence", "temperature": 1},
    ]
    assert term_names(tuple(map(Term.model_validate, terms))) == [
        "KLDivergence",
        "KLDivergence Reverse",
        "MSELogits",
        "KLDivergence 2",
    ]


def pair(teacher, student, **more):
    return {"teacher": teacher, "student": student, **more}


def hint(*pairs):
    return {"terms": [{"type": "KLDivergence"}, {"type": "Hint", "pairs": list(pairs)}]}


# what the spec says → reason, words of the sentence. Teacher convnet-small: features.0 … features.10, widths 16, 32, 64;
# student convnet-tiny: features.0 … features.7, widths 16, 32.
REFUSED = {
    "wrong name in the student": (
        hint(pair("features.3", "feature.3")),
        "LayerNotFound",
        (
            "objective.terms[1].pairs[0].student is 'feature.3', which no layer of the student is called",
            "did you mean 'features.3'?",
            "known are features, features.0",
        ),
    ),
    "wrong name in the teacher": (
        hint(pair("features.33", "features.3")),
        "LayerNotFound",
        ("objective.terms[1].pairs[0].teacher", "no layer of the teacher", "did you mean 'features.3'?"),
    ),
    "pattern that finds nothing": (hint(pair("blocks.*", "features.*")), "LayerNotFound", ("'blocks.*'",)),
    "unequal patterns": (
        hint(pair("features.*", "features.*")),
        "LayerMismatch",
        ("names 11 layers of the teacher", "8 layers of the student", "name as many of one as of the other"),
    ),
    "widths without a projection": (
        hint(pair("features.7", "features.3")),
        "LayerMismatch",
        ("gives 32×2×2", "16×4×4"),
    ),
    "widths without a projection, maps of one size": (
        hint(pair("features.4", "features.3")),
        "LayerMismatch",
        ("32×4×4", "16×4×4", "the widths differ; set projection: Linear"),
    ),
    "maps of another size with a projection": (
        hint(pair("features.7", "features.3", projection="Linear")),
        "LayerMismatch",
        ("no projection mends",),
    ),
    "attention of the head": (
        {"terms": [{"type": "AttentionTransfer", "pairs": [pair("fc", "fc")]}]},
        "LayerMismatch",
        ("objective.terms[0].pairs[0]", "name convolutional layers"),
    ),
    "attention of maps of two sizes": (
        {"terms": [{"type": "AttentionTransfer", "pairs": [pair("features.7", "features.3")]}]},
        "LayerMismatch",
        ("height and width differ",),
    ),
    "relations of several layers": (
        {"terms": [{"type": "Relational", "pairs": [pair("features.1*", "features.[67]")]}]},
        "LayerNotFound",
        ("'features.[67]'",),
    ),
    "relations of two layers": (
        {"terms": [{"type": "Relational", "pairs": [pair("features.1*", "*")]}]},
        "LayerMismatch",
        ("names 2 layers",),
    ),
}


@pytest.mark.parametrize(("objective", "reason", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused_before_training(workspace, objective, reason, words):
    ended = workspace.check(objective=objective)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, reason), ended.outcome
    assert [word for word in words if word not in ended.outcome.message] == [], ended.outcome.message


def test_decoupled_is_refused_for_two_classes(workspace, teacher_weights, tmp_path):
    from PIL import Image
    from safetensors.torch import save_file

    from distill_trainer.models import builtin_network

    two = builtin_network("mlp", shape=(1, 8, 8), classes=2)
    save_file(two.state_dict(), tmp_path / "two.safetensors")
    for split in ("train", "test"):
        for label in "ab":
            folder = tmp_path / "two" / split / label
            folder.mkdir(parents=True)
            for number in range(4):
                Image.new("L", (8, 8), 20 * number).save(folder / f"{number}.png")
    ended = workspace.check(
        teacher={"builtin": {"name": "mlp"}, "weights": {"uri": f"file://{tmp_path}/two.safetensors"}},
        dataset={"files": {"uri": f"file://{tmp_path}/two", "format": "ImageFolder"}},
        objective={"terms": [{"type": "Decoupled"}]},
    )
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, "TooFewClasses"), ended.outcome
    assert "objective.terms[0].type is Decoupled and there are 2 classes" in ended.outcome.message


def test_a_beta_near_an_end_is_warned_about(workspace):
    def said(beta):
        term = {"type": "KLDivergence", "variant": "JensenShannon", "beta": beta}
        return workspace.check(objective={"terms": [term]}).outcome.message

    assert "objective.terms[0].beta is 0.96" in said(0.96)
    assert "use variant Reverse" in said(0.96)
    assert "use variant Forward" in said(0.04)
    assert "beta" not in said(0.9)


def test_what_belongs_to_another_type_never_reaches_the_trainer(workspace):
    ended = workspace.check(objective={"terms": [{"type": "AttentionTransfer"}]})
    assert ended.code is ExitCode.CONFIG_INVALID
    assert (
        "objective.terms[0].pairs is required for AttentionTransfer: name at least one teacher and student layer"
        in ended.outcome.message
    )
    ended = workspace.check(objective={"terms": [{"type": "MSELogits", "temperature": 2}]})
    assert "objective.terms[0].temperature belongs to KLDivergence" in ended.outcome.message
