"""Online or Cached, and which encoding: a table of facts and what follows from them."""

from dataclasses import replace

import pytest

from distill_api.teacher_outputs import Encoding, OutputsMode, TeacherOutputs
from distill_trainer.errors import ContractBroken
from distill_trainer.teacher_outputs.choose import Facts, choose, shown_bytes

GIB = 2**30
PICTURES = Facts(
    epochs=20,
    samples=50_000,
    rows=1,
    classes=100,
    element_bytes=4,
    head_width=512,
    layer_bytes=0,
    temperatures=(4.0,),
    teacher_matters=True,
    varying="",
    no_sparse="",
    no_sampled="",
    volume=100 * GIB,
)
TEXTS = replace(PICTURES, samples=1_000_000, rows=512, classes=128_256, element_bytes=2, head_width=2048)

AUTO = {
    "small logits": (PICTURES, {}, ("Cached", "Dense", "19.07 MiB: 50000 samples of 400 bytes (exact")),
    "the head takes less than the logits": (
        replace(PICTURES, classes=21_000),
        {},
        ("Cached", "HiddenState", "2048 bytes?|2 KiB"),
    ),
    "no such head": (
        replace(PICTURES, classes=21_000, head_width=None),
        {},
        ("Cached", "Dense", "3.912 GiB"),
    ),
    "exact is too large, TopK fits": (
        replace(TEXTS, samples=100_000),
        {},
        # 64 classes of 3 + 2 bytes, and a tail of 4
        ("Cached", "TopK", "at most 15.45 GiB: 100000 samples of at most 162 KiB (HiddenState would take"),
    ),
    "nothing fits": (TEXTS, {}, ("Online", None, "more than teacherOutputs.budget, 20 GiB")),
    "a larger budget": (
        replace(TEXTS, volume=2000 * GIB),
        {"budget": "200Gi"},
        ("Cached", "TopK", "154.5 GiB"),
    ),
    "half of the volume": (
        replace(TEXTS, volume=300 * GIB),
        {"budget": "200Gi"},
        ("Online", None, "more than half of the 300 GiB of the store's volume"),
    ),
    "TopK where a term needs all logits": (
        replace(TEXTS, samples=100_000, no_sparse="objective.terms[0] (MSELogits) needs all logits"),
        {},
        ("Online", None, "HiddenState would take at most 195.3 GiB"),
    ),
    "one epoch": (replace(PICTURES, epochs=1), {}, ("Online", None, "seen once")),
    "labels alone": (replace(PICTURES, teacher_matters=False), {}, ("Online", None, "objective.alpha is 1")),
    "augmented": (
        replace(PICTURES, varying="the samples are augmented at random (flips): each epoch has others"),
        {},
        ("Online", None, "augmented at random (flips)"),
    ),
    "layers count": (
        replace(PICTURES, layer_bytes=2**20),
        {},
        ("Online", None, "48.85 GiB: 50000 samples of 1 MiB"),
    ),
    "an encoding that is named and fits": (
        PICTURES,
        {"encoding": "TopK", "topK": 8},
        ("Cached", "TopK", "TopK of 8, 1.717 MiB: 50000 samples of 36 bytes (as asked)"),
    ),
    "an encoding that is named and does not fit": (
        TEXTS,
        {"encoding": "Dense"},
        ("Online", None, "Dense would"),
    ),
}


@pytest.mark.parametrize("name", AUTO)
def test_auto(name):
    facts, settings, (mode, encoding, said) = AUTO[name]
    choice = choose(TeacherOutputs.model_validate(settings), facts)
    assert (choice.mode, choice.encoding) == (mode, encoding)
    assert any(words in choice.note for words in said.replace("?", "").split("|")), choice.note
    assert choice.note.startswith(f"teacher outputs: {mode}")


CACHED = {
    "even for one epoch": (replace(PICTURES, epochs=1), {}, ("Dense", 400)),
    "draws": (PICTURES, {"encoding": "Sampled"}, ("Sampled", 64 * 2 + 4)),
    "tails at each temperature": (
        replace(PICTURES, temperatures=(1.0, 4.0)),
        {"encoding": "TopK", "topK": 10},
        ("TopK", 10 * 4 + 2 * 4),
    ),
    "beyond Auto's budget": (
        replace(TEXTS, volume=2000 * GIB),
        {"encoding": "HiddenState"},
        ("HiddenState", 512 * 4096),
    ),
    "the smaller one where exact does not fit": (
        replace(TEXTS, volume=200 * GIB),
        {},
        ("TopK", 512 * (64 * 5 + 4)),
    ),
}


@pytest.mark.parametrize("name", CACHED)
def test_cached(name):
    facts, settings, (encoding, size) = CACHED[name]
    choice = choose(TeacherOutputs.model_validate({"mode": "Cached", **settings}), facts)
    assert (choice.mode, choice.encoding, choice.bytes_per_sample) == (OutputsMode.CACHED, encoding, size)


REFUSED = {
    "augmented": (
        replace(PICTURES, varying="the samples are augmented at random (flips): each epoch has others"),
        {},
        ("OutputsNotCacheable", "augmented at random", "set it to Online"),
    ),
    "too large": (TEXTS, {}, ("StoreTooSmall", "the store's volume has 100 GiB", "teacherOutputs.store.uri")),
    "named and too large": (
        TEXTS,
        {"encoding": "Dense"},
        ("StoreTooSmall", "Dense needs at most 119.4 TiB", "an encoding that takes less"),
    ),
    "TopK of all classes": (
        PICTURES,
        {"encoding": "TopK", "topK": 100},
        ("EncodingRefused", "topK is 100 and there are 100 classes", "use Dense"),
    ),
    "a term that needs all logits": (
        replace(PICTURES, no_sparse="objective.terms[1] (Decoupled) needs all logits of the teacher"),
        {"encoding": "TopK"},
        ("EncodingRefused", "objective.terms[1] (Decoupled)", "use Dense or HiddenState"),
    ),
    "draws at two temperatures": (
        replace(PICTURES, no_sampled="draws are of one temperature, the terms have 1, 4"),
        {"encoding": "Sampled"},
        ("EncodingRefused", "the terms have 1, 4", "use TopK"),
    ),
    "no head": (
        replace(PICTURES, head_width=None),
        {"encoding": "HiddenState"},
        ("EncodingRefused", "not those of one linear layer", "use Dense or TopK"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("mode", ["Cached", "Auto"])
def test_refused(name, mode):
    """What is named is taken or refused; Auto refuses an encoding too, and goes Online for anything else."""
    facts, settings, (reason, *said) = REFUSED[name]
    asked = TeacherOutputs.model_validate({"mode": mode, **settings})
    if mode == "Auto" and reason != "EncodingRefused":
        assert choose(asked, facts).mode is OutputsMode.ONLINE
        return
    with pytest.raises(ContractBroken) as caught:
        choose(asked, facts)
    assert caught.value.reason == reason
    assert all(words in caught.value.message for words in said), caught.value.message


def test_online_asks_for_nothing():
    choice = choose(TeacherOutputs(mode=OutputsMode.ONLINE), replace(PICTURES, volume=0, varying="whatever"))
    assert (choice.mode, choice.encoding) == (OutputsMode.ONLINE, None)


def test_bytes_in_words():
    assert [shown_bytes(size) for size in (400, 2048, 1.5 * 2**30, 2**50)] == [
        "400 bytes",
        "2 KiB",
        "1.5 GiB",
        "1024 TiB",
    ]


def test_every_encoding_but_auto_has_a_row():
    shown = {choice for _, settings, (choice, _) in CACHED.values()} | {row[2][1] for row in AUTO.values()}
    assert shown >= set(Encoding) - {Encoding.AUTO}
