"""Low-rank adapters: only they move, what is written is the merged model, and a stopped training ends bit for bit alike."""

import pytest
import torch
from language_world import gpt2, llama
from lora_world import lora_job, write_models
from safetensors.torch import load_file
from test_parallel import together
from text_world import write_sentences, write_teacher
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from distill_api.contract import ExitCode
from distill_api.lora import Lora
from distill_trainer.lora import adapt, merge
from distill_trainer.student import load_student


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("lora"))


@pytest.fixture
def job(workspace, folders):
    return lora_job(workspace.root / "data", folders)


def causal(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("config", [llama(), gpt2()], ids=["Linear", "Conv1D"])
def test_nothing_changes_at_first_and_merging_is_the_formula(config):
    ids, model = torch.arange(8)[None], causal(config)
    plain = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits = model(ids).logits
    adapt(model, Lora(rank=2, alpha=6.0))
    assert torch.equal(model(ids).logits, logits)
    own = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
    assert own
    assert all(".lora_A." in name or ".lora_B." in name for name in own)
    with torch.no_grad():
        for parameter in own.values():
            parameter.normal_()
    moved = model(ids).logits
    products = {
        name.removesuffix(".lora_A.default.weight"): own[name.replace("lora_A", "lora_B")] @ own[name]
        for name in own
        if ".lora_A." in name
    }
    merge(model)
    assert set(model.state_dict()) == set(plain)
    for name, tensor in model.state_dict().items():
        product = products.get(name.removesuffix(".weight"))
        change = 0 if product is None else 3.0 * (product if product.shape == tensor.shape else product.T)
        torch.testing.assert_close(tensor, plain[name] + change, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model(ids).logits, moved, atol=1e-3, rtol=1e-3)


def test_a_run_moves_the_adapted_layers_alone_and_writes_a_plain_model(workspace, job, folders):
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    folder = workspace.version(ended)
    before, after = (load_file(each / "model.safetensors") for each in (folders / "student", folder))
    assert set(before) == set(after)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {
        f"model.layers.{layer}.self_attn.{part}_proj.weight" for layer in (0, 1) for part in "qv"
    }
    for name in changed:
        assert torch.linalg.matrix_rank(after[name] - before[name], rtol=1e-4) <= 4
    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    student = load_student(folder)
    inputs = student.text_encoder.encode(["one two three"]).inputs
    logits = model(**{name: inputs[name] for name in ("input_ids", "attention_mask")}).logits
    torch.testing.assert_close(student.model(inputs), logits[..., : student.model(inputs).shape[-1]])
    assert ended.outcome.result.student.parameters == sum(each.numel() for each in model.parameters())
    said = (folder / "report.html").read_text()
    count = 2 * 2 * 4 * (32 + 32)
    assert f"student.lora: {count:,} parameters are trained beside" in said
    assert "adapters of rank 4 on q_proj, v_proj" in said


def test_stopped_and_started_again_it_is_the_same_bit_for_bit(workspace, job, stop_after):
    job["student"]["lora"] |= {"dropout": 0.2, "targetModules": ["q_proj", "down_proj"]}
    whole = workspace.train(**job)
    assert whole.code is ExitCode.SUCCEEDED, whole.outcome.message
    again = {"uri": "pvc://models/again"}
    assert workspace.train(stop_after(9), **job, output=again).code is ExitCode.DISRUPTED
    ended = workspace.train(**job, output=again)
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def test_stages_and_stored_outputs_resume_bit_for_bit(workspace, job, stop_after):
    """Stopped within the first stage, whose hint looks at an adapted layer, at the edge, and in the second."""
    pair = {"teacher": "model.model.layers.2.mlp", "student": "model.model.layers.1.self_attn.q_proj"}
    hint = {"type": "Hint", "pairs": [{**pair, "projection": "Linear"}]}
    stages = [
        {"name": "hints", "epochs": 1, "objective": {"alpha": 0, "terms": [hint]}},
        {"name": "outputs", "epochs": 1, "objective": {"temperature": 2}},
    ]
    del job["objective"]
    job["student"]["lora"] |= {"dropout": 0.2}
    document = workspace.config(**job, curriculum={"stages": stages})
    del document["training"]["epochs"]

    def run(name, stop=None):
        return workspace.run("train", {**document, "output": {"uri": f"pvc://models/{name}"}}, stop)

    whole = run("whole")
    assert whole.code is ExitCode.SUCCEEDED, whole.outcome.message
    epochs = set()
    for looks in (4, 9, 13):
        assert run(f"at-{looks}", stop_after(looks)).code is ExitCode.DISRUPTED
        newest = max((workspace.output.parent / f"at-{looks}/checkpoints").glob("*/*/step-*"))
        epochs.add(int(newest.name.partition("-epoch-")[2]))
        assert run(f"at-{looks}").outcome.lineage.student_digest == whole.outcome.lineage.student_digest
    assert epochs == {1, 2}


def test_stored_outputs_teach_what_the_teacher_beside_it_does(workspace, job):
    tensors = []
    for mode in ("Online", "Cached"):
        output = {"uri": f"pvc://models/{mode}"}
        ended = workspace.train(**job, output=output, teacherOutputs={"mode": mode})
        assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
        [file] = (workspace.output.parent / mode / "versions").glob("*/model.safetensors")
        tensors.append(load_file(file))
    torch.testing.assert_close(tensors[1], tensors[0], atol=1e-4, rtol=1e-3)


def test_activations_can_be_computed_twice(workspace, job):
    whole = workspace.train(**job)
    job["training"] |= {"activationCheckpointing": True}
    ended = workspace.train(**job, output={"uri": "pvc://models/again"})
    assert ended.outcome.lineage.student_digest == whole.outcome.lineage.student_digest


def test_two_processes_train_the_adapters_of_one(workspace, job):
    job["training"] |= {"optimizer": "SGD", "learningRate": 0.1}
    assert workspace.train(**job, output={"uri": "pvc://models/one"}).code is ExitCode.SUCCEEDED
    codes, said = together(workspace, 2, **job, output={"uri": "pvc://models/two"})
    assert codes == [0, 0], said
    one, two = (
        load_file(next((workspace.output.parent / name / "versions").glob("*/model.safetensors")))
        for name in ("one", "two")
    )
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-5, rtol=1e-4)


def test_layers_of_the_teacher_can_be_adapted(workspace, job, folders):
    job["student"] = {"initFromTeacher": {"count": 2}, "lora": {"rank": 2, "targetModules": ["o_proj"]}}
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    teacher = load_file(folders / "teacher/model.safetensors")
    after = load_file(workspace.version(ended) / "model.safetensors")
    assert torch.equal(
        after["model.layers.1.mlp.up_proj.weight"], teacher["model.layers.2.mlp.up_proj.weight"]
    )
    name = "self_attn.o_proj.weight"
    assert not torch.equal(after[f"model.layers.1.{name}"], teacher[f"model.layers.2.{name}"])


def test_a_new_head_is_trained_whole(workspace, tmp_path):
    """The student was trained for two classes, the data has three."""
    teacher = write_teacher(tmp_path / "teacher", steps=30)
    write_sentences(workspace.root / "data", train=48, test=12)
    write_teacher(tmp_path / "student", steps=1)
    two = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "student", num_labels=2, ignore_mismatched_sizes=True
    )
    two.save_pretrained(tmp_path / "student")
    ended = workspace.train(
        task="TextClassification",
        teacher={"huggingFace": {"id": f"file://{teacher}"}},
        student={"huggingFace": {"id": f"file://{tmp_path / 'student'}"}, "lora": {"rank": 2}},
        dataset={"files": {"uri": f"file://{workspace.root / 'data'}", "format": "JsonLines"}},
        training={"epochs": 1},
    )
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    before = two.state_dict()
    after = load_file(workspace.version(ended) / "model.safetensors")
    same = {name for name in after if name in before and torch.equal(after[name], before[name])}
    moved = set(after) - same
    assert {"classifier.weight", "classifier.bias"} <= moved
    assert {name.rpartition(".self.")[2] for name in moved - {"classifier.weight", "classifier.bias"}} == {
        "query.weight",
        "value.weight",
    }
    assert AutoTokenizer.from_pretrained(workspace.version(ended)) is not None


@pytest.mark.parametrize(
    ("student", "training", "reason", "words"),
    [
        ({"lora": {"targetModules": ["q_prj"]}}, {}, "LayerNotFound", ["'q_prj'", "did you mean 'q_proj'?"]),
        ({"lora": {}}, {"strategy": "FSDP"}, "AdaptersNotSharded", ["training.strategy FSDP"]),
    ],
)
def test_what_cannot_be_adapted_is_refused(workspace, job, student, training, reason, words):
    job["student"] |= student
    job["training"] |= training
    ended = workspace.check(**job)
    assert (ended.code, ended.outcome.reason) == (ExitCode.CONTRACT_BROKEN, reason), ended.outcome.message
    assert [word for word in words if word not in ended.outcome.message] == [], ended.outcome.message


@pytest.mark.parametrize("target", ["lm_head", "wte"])
def test_layers_that_share_a_tensor_are_refused(workspace, job, folders, target):
    """Merged into the head, an adapter would change the table of tokens too."""
    job["student"] = {
        "huggingFace": {"id": f"file://{folders / 'gpt2'}"},
        "lora": {"targetModules": [target]},
    }
    ended = workspace.check(**job)
    assert ended.outcome.reason == "AdaptersOfSharedWeights", ended.outcome.message
    assert f"has '{target}', and transformer.wte and lm_head share one tensor" in ended.outcome.message


def test_a_head_of_its_own_can_be_adapted(workspace, job):
    job["student"]["lora"]["targetModules"] = ["lm_head"]
    ended = workspace.train(**job)
    assert ended.code is ExitCode.SUCCEEDED, ended.outcome.message
    said = (workspace.version(ended) / "report.html").read_text()
    assert "losses: plain" in said
    model = AutoModelForCausalLM.from_pretrained(workspace.version(ended))
    assert model.lm_head.weight.shape == (64, 32)


def test_adapters_of_random_weights_are_refused(workspace, job):
    llama().save_pretrained(workspace.root / "config-alone")
    job["student"]["huggingFace"] = {"id": f"file://{workspace.root / 'config-alone'}"}
    ended = workspace.check(**job)
    assert ended.outcome.reason == "AdaptersOfNothing"
    assert "student.initFromTeacher" in ended.outcome.message


def test_adapters_of_other_networks_are_refused_at_the_schema(workspace, job):
    ended = workspace.check(student={"builtin": {"name": "mlp"}, "lora": {}})
    assert ended.code is ExitCode.CONFIG_INVALID
    assert "student.lora adapts Transformers models" in ended.outcome.message
