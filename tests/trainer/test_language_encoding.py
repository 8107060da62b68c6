"""What a language model is trained on: which tokens there are, which count, and what stands where in a batch."""

import pytest
import torch
from language_world import CHAT, FORGETFUL, MARKED, conversation, gpt2, tokenizer
from transformers import AutoModelForCausalLM

from distill_trainer.batch import Batch
from distill_trainer.errors import ContractBroken
from distill_trainer.language import ChatEncoder, DocumentEncoder, LanguageContent
from distill_trainer.losses import cross_entropy
from distill_trainer.models.text_network import TextNetwork
from distill_trainer.teacher_outputs.teacher_pass import row_counts

TWO_ANSWERS = conversation("one two", "three four five", "six", "seven eight nine ten")


def content(cells, encoder, *, max_tokens=32, packing=False):
    return LanguageContent(
        lambda row: cells[row], len(cells), encoder, "column", max_tokens, packing=packing, words=str
    )


def chats(template, *conversations, **settings):
    return content(list(conversations), ChatEncoder(tokenizer(template=template)), **settings)


def everything(samples):
    return samples.read(torch.arange(len(samples)))


def trained_words(read):
    return tokenizer().convert_ids_to_tokens(read.labels[read.mask].tolist())


def test_a_document_ends_with_the_end_token_and_learns_it():
    read = everything(content(["one two", "three four five"], DocumentEncoder(tokenizer())))
    assert read.inputs["input_ids"].tolist() == [[0, 6, 7, 0], [0, 8, 9, 10]]
    assert trained_words(read) == ["one", "two", "</s>", "three", "four", "five", "</s>"]
    assert read.mask.sum(dim=1).tolist() == [3, 4]


def test_without_a_start_token_the_first_word_is_given_and_not_learnt():
    read = everything(content(["one two three"], DocumentEncoder(tokenizer(bos=False))))
    assert trained_words(read) == ["two", "three", "</s>"]


def test_an_end_token_that_the_tokenizer_writes_is_not_doubled():
    read = everything(content(["one two </s>"], DocumentEncoder(tokenizer())))
    assert trained_words(read) == ["one", "two", "</s>"]


def test_labels_are_the_inputs_shifted_by_one():
    read = everything(content(["one two three four"], DocumentEncoder(tokenizer())))
    assert read.inputs["input_ids"][0, 1:].tolist() == read.labels[0, :-1].tolist()


def three_answers(**settings):
    """Answers of 2, 3 and 5 words, each closed by the end token, which is the padding too."""
    asked = [
        conversation("one", answer) for answer in ("two three", "four five six", "one two three four five")
    ]
    return chats(MARKED, *asked, **settings)


def test_padding_is_the_end_token_and_every_end_is_still_learnt():
    read = everything(three_answers())
    assert int(read.mask.sum()) == 13
    assert trained_words(read).count("</s>") == 3
    batch = Batch(["a", "b", "c"], torch.arange(3), read.inputs, read.labels, read.mask)
    assert int(row_counts(batch).sum()) == 13


def test_the_side_that_a_tokenizer_pads_on_changes_nothing():
    words = tokenizer(template=MARKED)
    words.padding_side = "left"
    rows = [conversation("one", "two three"), conversation("one", "four five six")]
    left, right = everything(content(rows, ChatEncoder(words))), everything(chats(MARKED, *rows))
    assert torch.equal(left.labels[left.mask], right.labels[right.mask])
    assert torch.equal(left.inputs["input_ids"], right.inputs["input_ids"])


def test_the_loss_does_not_depend_on_the_length_of_the_padding():
    torch.manual_seed(0)
    network, rows = (
        TextNetwork(AutoModelForCausalLM.from_config(gpt2()).eval(), use_cache=False),
        three_answers(),
    )
    together = loss_of(network, everything(rows))
    alone = sum(loss_of(network, rows.read(torch.tensor([row])), count=13) for row in range(3))
    assert together.item() == pytest.approx(alone.item(), abs=1e-5)


def loss_of(network, read, count=None):
    return cross_entropy(network(read.inputs), read.labels, mask=read.mask, count=count)


def test_a_model_that_has_learnt_answers_stops_after_them():
    torch.manual_seed(0)
    model, read = AutoModelForCausalLM.from_config(gpt2()), everything(three_answers())
    network = TextNetwork(model, use_cache=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    asked = [conversation(question, "two three") for question in ("one", "two", "three")]
    rows = chats(
        MARKED,
        *[
            [turn[0], {**turn[1], "content": answer}]
            for turn, answer in zip(
                asked, ("two three", "four five six", "one two three four five"), strict=True
            )
        ],
    )
    read = everything(rows)
    for _ in range(150):
        optimizer.zero_grad()
        loss_of(network, read).backward()
        optimizer.step()
    for row, answer in enumerate((2, 3, 5)):
        prompt = read.inputs["input_ids"][row : row + 1, :3]  # <|user|> question <|assistant|>
        written = model.eval().generate(
            prompt, max_new_tokens=12, do_sample=False, attention_mask=prompt * 0 + 1
        )
        assert written[0, 3:].tolist().index(1) == answer


def test_a_conversation_has_one_start_token_and_learns_answers_with_their_ends():
    read = everything(chats(CHAT, TWO_ANSWERS))
    assert (read.inputs["input_ids"] == 0).sum() == 1
    assert int(read.mask.sum()) == 9
    assert trained_words(read) == [
        "three",
        "four",
        "five",
        "<|end|>",
        "seven",
        "eight",
        "nine",
        "ten",
        "<|end|>",
    ]


def test_a_header_that_the_template_writes_for_an_answer_is_not_learnt():
    asking = CHAT + "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    assert torch.equal(everything(chats(asking, TWO_ANSWERS)).mask, everything(chats(CHAT, TWO_ANSWERS)).mask)


def test_marks_of_the_template_are_believed():
    read = everything(chats(MARKED, TWO_ANSWERS))
    assert trained_words(read) == ["three", "four", "five", "</s>", "seven", "eight", "nine", "ten", "</s>"]


def test_a_template_that_rewrites_earlier_turns_is_refused():
    with pytest.raises(
        ContractBroken, match="row 0, is a conversation whose answers cannot be found for certain"
    ) as found:
        everything(chats(FORGETFUL, TWO_ANSWERS))
    assert "it writes message 1 otherwise once further messages follow" in found.value.message
    assert "{% generation %}" in found.value.message


def test_nothing_to_learn_is_no_run():
    with pytest.raises(ContractBroken, match="has no token that would be trained") as found:
        everything(chats(CHAT, conversation("one two")))
    assert found.value.reason == "NothingTrained"


def test_answers_beyond_the_cut_are_nothing_to_learn():
    with pytest.raises(ContractBroken, match=r"begin within dataset\.maxTokens"):
        everything(chats(CHAT, TWO_ANSWERS, max_tokens=4))


def test_conversations_without_an_answer_are_counted():
    said = chats(CHAT, TWO_ANSWERS, conversation("one")).says()
    assert said == "2 documents with 23 tokens, 9 of them learnt; 1 have no token to learn"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("one", "row 1, holds str, not a list of messages"),
        ([{"role": "user"}], "row 1, has no text for role and content in message 0"),
    ],
)
def test_cells_that_are_no_conversation_are_named(cell, words):
    with pytest.raises(ContractBroken, match=words):
        everything(chats(CHAT, TWO_ANSWERS, cell))


@pytest.mark.parametrize(
    ("cell", "words"), [(" ", "column, row 1, is empty"), (7, "row 1, holds int, not text")]
)
def test_cells_that_are_no_text_are_named(cell, words):
    with pytest.raises(ContractBroken, match=words):
        everything(content(["one", cell], DocumentEncoder(tokenizer())))


def test_a_tokenizer_without_an_end_is_refused():
    words = tokenizer()
    words.eos_token = None
    with pytest.raises(ContractBroken, match="has no eos_token"):
        DocumentEncoder(words)


def test_a_tokenizer_without_a_template_is_refused_for_chat():
    with pytest.raises(ContractBroken, match="has no chat_template"):
        ChatEncoder(tokenizer())


def test_long_documents_are_cut_and_said():
    long = content(["one two three four", "five"], DocumentEncoder(tokenizer()), max_tokens=3)
    read = everything(long)
    assert trained_words(read) == ["one", "two", "three", "five", "</s>"]
    assert "1 are cut at dataset.maxTokens, which leaves out 2 tokens" in long.says()


def test_packed_documents_teach_every_token_once_and_pad_nothing():
    cells = ["one two", "three four five", "six seven eight nine", "ten"]
    packed = content(cells, DocumentEncoder(tokenizer()), max_tokens=4, packing=True)
    read = everything(packed)
    stream = [token for cell in cells for token in [*tokenizer()(cell).input_ids, 1]]
    assert len(packed) == -(-(len(stream) - 1) // 4)
    inputs, there = read.inputs["input_ids"], read.inputs["attention_mask"].bool()
    assert inputs[there].tolist() == stream[:-1]
    assert read.labels[there].tolist() == stream[1:]
    assert there[:-1].all()
    assert trained_words(read) == trained_words(everything(content(cells, DocumentEncoder(tokenizer()))))


def test_the_digest_is_of_tokens_cuts_and_packing():
    cells, words = ["one two three"], DocumentEncoder(tokenizer())
    same = [content(list(cells), words).digest(), content(cells, DocumentEncoder(tokenizer())).digest()]
    others = [
        content(["one two four"], words).digest(),
        content(cells, words, max_tokens=2).digest(),
        content(cells, words, packing=True).digest(),
        content(cells, DocumentEncoder(tokenizer(bos=False))).digest(),
    ]
    assert same[0] == same[1]
    assert len({same[0], *others}) == 5


def test_what_a_template_would_write_beside_role_and_content_is_refused_and_no_other():
    calls = CHAT.replace("m['content'] +", "m['content'] + ('CALL' if m.tool_calls else '') +")
    question, answer = conversation("one two", "three")
    calling = [question, {**answer, "tool_calls": [{"name": "look"}]}]
    with pytest.raises(ContractBroken, match="has tool_calls in message 1, which the chat template writes"):
        everything(chats(calls, calling))
    plain = everything(chats(calls, [question, {**answer, "tool_calls": None}]))
    assert trained_words(plain) == ["three", "<|end|>"]
    assert trained_words(everything(chats(CHAT, calling))) == ["three", "<|end|>"]
