"""The three families, tiny and randomly initialised: they train, and learn what there is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed: make test-train")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from targen.errors import TargenError  # noqa: E402
from targen.release.instructions import conversations  # noqa: E402
from targen.training import study  # noqa: E402
from targen.training.examples import examples  # noqa: E402
from targen.training.finetune import Fit, Tuned, family  # noqa: E402
from tests.support.specs import spec_of  # noqa: E402
from tests.training.test_examples import QUIZ, quiz_rows  # noqa: E402

FAMILIES = {"encoder": BertConfig, "encoder-decoder": T5Config, "decoder": GPT2Config}
GLAD = ["what", "a", "fine", "sunny", "happy", "morning", "it", "was"]
SAD = ["what", "a", "grim", "rainy", "lonely", "evening", "it", "was"]


def rows(count: int = 64, shuffled: bool = False) -> pl.DataFrame:
    """Notes whose words tell the label; with `shuffled`, labels that nothing tells."""
    random = np.random.default_rng(7)
    notes, labels = [], []
    for i in range(count):
        glad = i % 2 == 0
        words = random.permutation(GLAD if glad else SAD)
        notes.append(" ".join(words))
        labels.append("glad" if (random.random() < 0.5 if shuffled else glad) else "sad")
    ids = [f"{i:016x}" for i in range(count)]
    return pl.DataFrame({"instance_id": ids, "note": notes, "label": labels})


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return spec_of(tmp_path_factory.mktemp("task"))


@pytest.fixture(scope="module")
def quiz(tmp_path_factory):
    return spec_of(tmp_path_factory.mktemp("quiz"), QUIZ)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, spec) -> dict[str, str]:
    """A tiny model of each family that knows the words of one task."""
    return tiny(tmp_path_factory, [*conversations(spec, rows())])


@pytest.fixture(scope="module")
def both(tmp_path_factory, spec, quiz) -> dict[str, str]:
    """The same with the words of two tasks."""
    made = [*conversations(spec, rows()), *conversations(quiz, quiz_rows(64))]
    return tiny(tmp_path_factory, made)


def tiny(tmp_path_factory, talks) -> dict[str, str]:
    """Return family -> folder of a randomly initialised model with a tokenizer of whole words."""
    text = " ".join(turn["content"] for one in talks for turn in one["messages"])
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    words = sorted({word for word, _ in split.pre_tokenize_str(text + " Answer: glad sad")})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    made = {}
    for name in FAMILIES:
        torch.manual_seed(1)
        folder = tmp_path_factory.mktemp(name)
        inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        inner.pre_tokenizer = split
        if name != "decoder":
            inner.post_processor = processors.TemplateProcessing(
                single="$A </s>", special_tokens=[("</s>", 1)]
            )
        PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ).save_pretrained(folder)
        model(name, len(vocabulary)).save_pretrained(folder)
        made[name] = str(folder)
    return made


def model(name: str, words: int):
    ends = {"pad_token_id": 0, "eos_token_id": 1}
    if name == "encoder":
        return BertForMaskedLM(
            BertConfig(
                vocab_size=words, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=64, **ends,
            )
        )  # fmt: skip
    if name == "encoder-decoder":
        return T5ForConditionalGeneration(
            T5Config(
                vocab_size=words, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
                decoder_start_token_id=0, **ends,
            )
        )  # fmt: skip
    # Without dropout: in so small a model it hides what there is to learn.
    dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=words, n_embd=64, n_layer=2, n_head=2, bos_token_id=1, **dropout, **ends
        )
    )


def fit(folder: str, form="classification") -> Fit:
    return Fit(folder, form, epochs=25, batch_size=8, learning_rate=3e-3, max_tokens=128)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_family_is_told_from_the_model(folders, name) -> None:
    assert family(folders[name]) == name


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("encoder", "classification"),
        ("encoder-decoder", "classification"),
        ("decoder", "classification"),
        ("encoder-decoder", "instruction"),
        ("decoder", "instruction"),
    ],
)
def test_each_family_learns_what_the_words_tell(folders, spec, name, form) -> None:
    how = fit(folders[name], form)
    made = examples(spec, rows(), form)
    test = made.some(range(48, 64))
    scores = np.stack(Tuned(how, [made.some(range(48))], seed=0).log_probabilities(test))
    assert scores.shape == (16, 2)
    assert np.allclose(np.exp(scores).sum(axis=1), 1)
    assert (scores.argmax(axis=1) == test.labels).mean() >= 0.9


@pytest.mark.parametrize(
    ("name", "form"), [("encoder", "classification"), ("decoder", "instruction")]
)
def test_one_model_learns_a_task_with_labels_and_one_with_options(
    both, spec, quiz, name, form
) -> None:
    how = fit(both[name], form)
    mood, choice = examples(spec, rows(), form), examples(quiz, quiz_rows(64), form)
    model = Tuned(how, [part.some(range(48)) for part in (mood, choice)], seed=0)
    for part in (mood, choice):
        test = part.some(range(48, 64))
        assert (model.choices(test) == test.labels).mean() >= 0.9
    # The rows have two, three or four options, and each its own probabilities.
    scores = model.log_probabilities(choice)
    assert [len(row) for row in scores] == [len(options) for options in choice.options]
    assert all(np.isclose(np.exp(row).sum(), 1) for row in scores)


def test_scores_of_several_tasks_and_of_training_before(both, spec, quiz) -> None:
    """Twelve rows and a few steps do not suffice; the set of the first task teaches it."""
    how = replace(fit(both["encoder"]), epochs=4)
    tasks = [
        study.TaskRows(spec, rows(12), rows(24)),
        study.TaskRows(quiz, quiz_rows(12), quiz_rows(24)),
    ]
    scores = study.utility(tasks, how, seeds=1, pretrain=[(spec, rows(320))])
    found = {(score.task, score.name, score.metric): score.value for score in scores}
    names = ["set to gold", "gold to gold", "pretrained, set to gold", "pretrained, gold to gold"]
    assert {name for _, name, _ in found} == {*names, study.DIFFERENCE}
    assert {metric for task, _, metric in found if task == "quiz"} == {"accuracy", "f1"}
    assert {metric for task, _, metric in found if task == "mood"} == {"accuracy"}
    for name in names:
        mean = (found["mood", name, "accuracy"] + found["quiz", name, "accuracy"]) / 2
        assert found[study.MEAN, name, "accuracy"] == pytest.approx(mean)
        assert found["quiz", name, "f1"] >= found["quiz", name, "accuracy"]
    assert found["mood", names[2], "accuracy"] >= 0.9
    assert found["mood", names[2], "accuracy"] > found["mood", names[0], "accuracy"]
    assert {score.rows for score in scores if score.task != study.MEAN} == {12}


def test_the_same_seed_gives_the_same_model(folders, spec) -> None:
    how = fit(folders["encoder"])
    made = examples(spec, rows(24), how.form)
    one, two = (Tuned(how, [made], seed=3).log_probabilities(made) for _ in range(2))
    assert np.array_equal(one, two)


def test_an_encoder_cannot_write(folders, spec) -> None:
    how = fit(folders["encoder"], "instruction")
    with pytest.raises(TargenError, match="cannot generate text"):
        Tuned(how, [examples(spec, rows(16), how.form)], seed=0)


def test_a_model_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(TargenError, match="cannot be loaded"):
        family(str(tmp_path / "nowhere"))


def test_utility_is_high_for_good_rows_and_chance_for_shuffled_ones(folders, spec) -> None:
    how, gold = fit(folders["encoder"]), rows(96)
    good = study.utility([study.TaskRows(spec, rows(64), gold)], how, seeds=2)
    assert [score.name for score in good] == ["set to gold", "gold to gold", study.DIFFERENCE]
    assert all(score.value >= 0.9 and score.rows == 48 for score in good[:2])
    assert good[2].value == pytest.approx(good[0].value - good[1].value)
    shuffled = study.TaskRows(spec, rows(64, shuffled=True), gold)
    bad, _, gap = study.utility([shuffled], how, seeds=2)
    assert bad.value < 0.85
    assert gap.low is not None and gap.low < gap.value < gap.high


def test_v_information_is_near_a_bit_for_good_rows_and_none_for_shuffled(folders, spec) -> None:
    how = fit(folders["encoder"])
    good = study.v_information(spec, rows(96), how)
    # Above one bit where the model without the text is surer than the folds justify.
    assert 0.7 < good.value <= 1.2 and good.low is not None and good.low > 0.5
    assert study.v_information(spec, rows(96, shuffled=True), how).value < 0.1


def test_too_few_rows_are_an_error(folders, spec) -> None:
    with pytest.raises(TargenError, match="too few"):
        study.utility([study.TaskRows(spec, rows(6), rows(40))], fit(folders["encoder"]))
    enough = study.TaskRows(spec, rows(40), rows(40))
    with pytest.raises(TargenError, match="mood: 3 rows are too few"):
        study.utility([enough], fit(folders["encoder"]), pretrain=[(spec, rows(3))])
