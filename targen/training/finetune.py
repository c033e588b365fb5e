"""Fine-tuning of a transformer on labeled rows with Hugging Face's Trainer."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from targen.errors import TargenError

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
        "pip install 'targen-dagster[train]'."
    ) from error

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

Family = Literal["encoder", "encoder-decoder", "decoder"]
Format = Literal["classification", "instruction"]
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


@dataclass(frozen=True)
class Examples:
    """Rows as input to a transformer.

    Attributes:
        prompts: one text per row.
        labels: index of each row's label in `names`.
        names: the labels; in the instruction format, the texts that the model writes.
    """

    prompts: Sequence[str]
    labels: Sequence[int]
    names: Sequence[str]


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
    """A fine-tuned model."""

    def __init__(self, fit: Fit, examples: Examples, seed: int) -> None:
        """Train on the best available device.

        Raises:
            TargenError: the model cannot be loaded, or does not support the format.
        """
        self.fit, self.names, self.family = fit, list(examples.names), family(fit.model)
        if fit.form == "instruction" and self.family == "encoder":
            raise TargenError(
                f"{fit.model} is an encoder and cannot generate text. Train it with "
                "--format classification, or choose a generative model."
            )
        # The initial weights of the new head are random too.
        transformers.set_seed(seed)
        self._tokenizer = _loaded(AutoTokenizer, fit.model)
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model = self._new_model()
        self._train(examples, seed)

    def log_probabilities(self, prompts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the natural log-probability of each label, (prompts, labels).

        In the instruction format these are the probabilities of the labels' texts, normalized to
        sum to one.
        """
        self._model.eval()
        with torch.inference_mode():
            scores = [
                self._scores(prompts[start : start + self.fit.batch_size])
                for start in range(0, len(prompts), self.fit.batch_size)
            ]
        stacked = torch.cat(scores) if scores else torch.empty(0, len(self.names))
        made: npt.NDArray[np.float64] = torch.log_softmax(stacked.double(), dim=-1).cpu().numpy()
        return made

    def _new_model(self) -> Any:
        if self.fit.form == "classification":
            model = _loaded(
                AutoModelForSequenceClassification, self.fit.model, num_labels=len(self.names)
            )
        elif self.family == "decoder":
            model = _loaded(AutoModelForCausalLM, self.fit.model)
        else:
            model = _loaded(AutoModelForSeq2SeqLM, self.fit.model)
        model.config.pad_token_id = self._tokenizer.pad_token_id
        return model

    def _train(self, examples: Examples, seed: int) -> None:
        items = [
            self._item(prompt, label)
            for prompt, label in zip(examples.prompts, examples.labels, strict=True)
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

    def _item(self, prompt: str, label: int) -> dict[str, Any]:
        if self.fit.form == "classification":
            return {"input_ids": self._ids(prompt), "labels": label}
        return self._written(self._ids(prompt, ends=False), self._answer(label))

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

    def _answer(self, label: int) -> list[int]:
        name = self.names[label]
        text = f" {name}" if self.family == "decoder" else name
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
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

    def _scores(self, prompts: Sequence[str]) -> torch.Tensor:
        if self.fit.form == "classification":
            batch = self._batch([{"input_ids": self._ids(p), "labels": 0} for p in prompts])
            logits: torch.Tensor = self._model(**self._moved(batch, but="labels")).logits
            return logits
        read = [self._ids(prompt, ends=False) for prompt in prompts]
        columns = [
            self._likelihood([self._written(ids, self._answer(label)) for ids in read])
            for label in range(len(self.names))
        ]
        return torch.stack(columns, dim=1)

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


def _loaded(kind: Any, model: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(model, **options)
    except (OSError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise TargenError(
            f"The model {model} cannot be loaded: {cause} Give a model on the Hugging Face hub, or "
            "a local folder with one."
        ) from error
