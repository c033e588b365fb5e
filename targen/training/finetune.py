"""Fine-tuning of a transformer on labeled rows with Hugging Face's Trainer."""

import copy
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from targen.errors import TargenError
from targen.training.examples import Examples, Format

try:
    import torch
    import transformers
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForSeq2SeqLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        PrinterCallback,
        Trainer,
        TrainingArguments,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )
except ImportError as error:  # pragma: no cover - the message is tested where the extra is missing
    raise TargenError(
        f"Training needs the extra `train`, and {error.name} is missing: "
        "pip install torch transformers accelerate"
    ) from error

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

Family = Literal["encoder", "encoder-decoder", "decoder"]
IGNORED = -100
"""Target value that PyTorch's cross entropy ignores."""


@dataclass(frozen=True)
class Fit:
    """Training settings.

    Attributes:
        model: a model's name on the Hugging Face hub, or a local folder.
        form: `classification` adds a head to the model; `instruction` trains a generative model to
            write the label after the prompt.
        epochs, batch_size, learning_rate: as for the Trainer; its defaults are 3 epochs at 5e-5.
        max_tokens: longer prompts are truncated at the end.
    """

    model: str
    form: Format = "classification"
    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 5e-5
    max_tokens: int = 512


def family(model: str) -> Family:
    """Return the family of a model.

    Raises:
        TargenError: the model does not exist, or belongs to none of the three families.
    """
    config = _loaded(AutoConfig, model)
    if config.is_encoder_decoder:
        return "encoder-decoder"
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "decoder"
    raise TargenError(
        f"The model {model} ({config.model_type}) is not supported. Choose an encoder, "
        "an encoder-decoder or a decoder of texts."
    )


class Tuned:
    """A model that was fine-tuned on the rows of one or more tasks.

    The instruction format trains it to write the answer of each row. In the classification format
    it has one head for all tasks: an output for each label of each task, or two outputs, wrong and
    right, for a task whose rows have their own candidates. Only the outputs of a row's own task are
    compared.
    """

    def __init__(
        self,
        fit: Fit,
        parts: Sequence[Examples],
        seed: int,
        later: Sequence[Examples] = (),
    ) -> None:
        """Train on the best available device.

        Args:
            fit: the model and its training settings.
            parts: the rows, one entry per task.
            seed: seed of the new head and of the order of the rows.
            later: the tasks that `trained_on` may train it on.

        Raises:
            TargenError: the model cannot be loaded, or does not support the format.
        """
        self.fit, self.family = fit, family(fit.model)
        if fit.form == "instruction" and self.family == "encoder":
            raise TargenError(
                f"{fit.model} is an encoder and cannot generate text. Train it with "
                "--format classification, or choose a generative model."
            )
        self._outputs: dict[str, int] = {}
        self._width = 0
        for part in (*parts, *later):
            if part.task not in self._outputs:
                self._outputs[part.task] = self._width
                self._width += len(part.names) or 2
        # The initial weights of the new head are random too.
        transformers.set_seed(seed)
        self._tokenizer = _loaded(AutoTokenizer, fit.model)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model = self._new_model()
        self._train(parts, seed)

    def trained_on(self, parts: Sequence[Examples], seed: int) -> "Tuned":
        """Return a copy that was trained further, on tasks that the constructor was given."""
        made = copy.copy(self)
        made._model = copy.deepcopy(self._model)
        transformers.set_seed(seed)
        made._train(parts, seed)
        return made

    def log_probabilities(self, part: Examples) -> list[npt.NDArray[np.float64]]:
        """Return the natural log-probability of each candidate of each row.

        In the instruction format these are the probabilities of the candidates' texts, normalized
        to sum to one (rank classification: Sanh et al., 2022, T0, section 5.2).
        """
        self._model.eval()
        pairs = [(row, one) for row in range(len(part)) for one in range(len(part.candidates(row)))]
        with torch.inference_mode():
            if self.fit.form == "instruction":
                flat = self._in_batches(
                    [
                        self._written(
                            self._ids(part.prompts[row], ends=False),
                            self._answer(part.candidates(row)[one]),
                        )
                        for row, one in pairs
                    ],
                    self._likelihood,
                )
            elif part.names:
                items = [{"input_ids": self._ids(text), "labels": 0} for text in part.prompts]
                start = self._outputs[part.task]
                flat = self._in_batches(items, self._logits)[:, start : start + len(part.names)]
            else:
                texts = [_with_candidate(part, row, one) for row, one in pairs]
                items = [{"input_ids": self._ids(text), "labels": 0} for text in texts]
                wrong, right = (self._outputs[part.task] + n for n in (0, 1))
                logits = self._in_batches(items, self._logits)
                flat = logits[:, right] - logits[:, wrong]
        counts = [len(part.candidates(row)) for row in range(len(part))]
        rows = torch.split(flat.flatten(), counts) if counts else ()
        return [torch.log_softmax(row.double(), dim=-1).cpu().numpy() for row in rows]

    def choices(self, part: Examples) -> npt.NDArray[np.int64]:
        """Return the index of the likeliest candidate of each row."""
        found = [int(scores.argmax()) for scores in self.log_probabilities(part)]
        return np.array(found, dtype=np.int64)

    def _new_model(self) -> Any:
        if self.fit.form == "classification":
            model = _loaded(
                AutoModelForSequenceClassification, self.fit.model, num_labels=self._width
            )
        elif self.family == "decoder":
            model = _loaded(AutoModelForCausalLM, self.fit.model)
        else:
            model = _loaded(AutoModelForSeq2SeqLM, self.fit.model)
        model.config.pad_token_id = self._tokenizer.pad_token_id
        return model

    def _train(self, parts: Sequence[Examples], seed: int) -> None:
        items = [
            item for part in parts for row in range(len(part)) for item in self._items(part, row)
        ]
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=self.fit.batch_size,
                num_train_epochs=self.fit.epochs,
                learning_rate=self.fit.learning_rate,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=torch.cuda.is_available(),
                seed=seed,
                data_seed=seed,
            )
            trainer = Trainer(
                self._model, arguments, data_collator=self._batch, train_dataset=items
            )
            # The Trainer would print a dictionary of timings.
            trainer.remove_callback(PrinterCallback)
            trainer.train()

    def _items(self, part: Examples, row: int) -> list[dict[str, Any]]:
        label = part.labels[row]
        if self.fit.form == "instruction":
            prompt = self._ids(part.prompts[row], ends=False)
            return [self._written(prompt, self._answer(part.candidates(row)[label]))]
        start = self._outputs[part.task]
        if part.names:
            return [{"input_ids": self._ids(part.prompts[row]), "labels": start + label}]
        return [
            {
                "input_ids": self._ids(_with_candidate(part, row, one)),
                "labels": start + int(one == label),
            }
            for one in range(len(part.candidates(row)))
        ]

    def _written(self, prompt: list[int], answer: list[int]) -> dict[str, Any]:
        """Return one example of generating `answer`; the loss covers the answer only."""
        if self.family == "decoder":
            masked = [IGNORED] * len(prompt)
            return {"input_ids": prompt + answer, "labels": masked + answer}
        return {"input_ids": prompt, "labels": answer}

    def _ids(self, text: str, *, ends: bool = True) -> list[int]:
        # A decoder's prompt must not end with an end token.
        special = ends or self.family != "decoder"
        found: list[int] = self._tokenizer(
            text, truncation=True, max_length=self.fit.max_tokens, add_special_tokens=special
        )["input_ids"]
        return found or [self._tokenizer.pad_token_id]

    def _answer(self, text: str) -> list[int]:
        text = f" {text}" if self.family == "decoder" else text
        ids: list[int] = self._tokenizer(
            text, truncation=True, max_length=self.fit.max_tokens, add_special_tokens=False
        )["input_ids"]
        end = self._tokenizer.eos_token_id
        return ids if end is None else [*ids, end]

    def _batch(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad items to one length, on the right, so that positions do not change."""
        longest = max(len(item["input_ids"]) for item in items)
        pad = self._tokenizer.pad_token_id
        batch = {
            "input_ids": [i["input_ids"] + [pad] * (longest - len(i["input_ids"])) for i in items],
            "attention_mask": [
                [1] * len(i["input_ids"]) + [0] * (longest - len(i["input_ids"])) for i in items
            ],
        }
        if isinstance(items[0]["labels"], list):
            widest = max(len(item["labels"]) for item in items)
            batch["labels"] = [i["labels"] + [IGNORED] * (widest - len(i["labels"])) for i in items]
        else:
            batch["labels"] = [item["labels"] for item in items]
        return {name: torch.tensor(values) for name, values in batch.items()}

    def _in_batches(
        self,
        items: Sequence[dict[str, Any]],
        scores: Callable[[Sequence[dict[str, Any]]], torch.Tensor],
    ) -> torch.Tensor:
        size = self.fit.batch_size
        found = [scores(items[start : start + size]) for start in range(0, len(items), size)]
        return torch.cat(found) if found else torch.empty(0, self._width)

    def _logits(self, items: Sequence[dict[str, Any]]) -> torch.Tensor:
        made: torch.Tensor = self._model(**self._moved(self._batch(items), but="labels")).logits
        return made

    def _likelihood(self, items: Sequence[dict[str, Any]]) -> torch.Tensor:
        batch = self._moved(self._batch(items))
        labels = batch["labels"]
        logits = self._model(**batch).logits
        if self.family == "decoder":
            # Position t writes token t + 1.
            logits, labels = logits[:, :-1], labels[:, 1:]
        known = labels != IGNORED
        each = torch.log_softmax(logits.double(), dim=-1)
        found = each.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return (found * known).sum(dim=-1)

    def _moved(self, batch: dict[str, torch.Tensor], but: str = "") -> dict[str, torch.Tensor]:
        device = self._model.device
        return {name: values.to(device) for name, values in batch.items() if name != but}


def _with_candidate(part: Examples, row: int, one: int) -> str:
    """Return a row's prompt and one candidate, which comes first so that it is never truncated."""
    return f"Answer: {part.candidates(row)[one]}\n{part.prompts[row]}"


def _loaded(kind: Any, model: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(model, **options)
    except (OSError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise TargenError(
            f"The model {model} cannot be loaded: {cause} Give a model on the Hugging Face hub, or "
            "a local folder with one."
        ) from error
