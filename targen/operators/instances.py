"""Operators of instances that fill the plan's slots or read the user's file."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from targen.errors import EndpointError, StepError
from targen.lineage import ids
from targen.llm.types import Sampling
from targen.operators.base import StepInput, StepResult
from targen.operators.requests import answers
from targen.operators.seeds import checked_rows
from targen.operators.slots import FillParams, SlotFiller, no_logprobs
from targen.operators.targeted import filled
from targen.steps import INSTANCES
from targen.tasks.checks import long_rows_warnings
from targen.tasks.registry import operator

PROMPT = "instances/label_constrained.md"
COMPOSE_PROMPT = "instances/compose.md"


class LabelConstrainedParams(FillParams):
    """Parameters of `label_constrained`."""

    difficulty: bool = False
    """ask for easy, medium and hard examples, evenly within each label and way."""


READS = ("requirement_words", "examples")


@operator(INSTANCES, "label_constrained", LabelConstrainedParams, PROMPT, reads=READS)
async def label_constrained(step: StepInput, params: LabelConstrainedParams) -> StepResult:
    """Fill the slots of the plan with rows that meet their labels' constraints.

    Source: TarGEN (Gupta et al., 2024), section 3, step 3, label-constrained generation.

    Raises:
        StepError: none of the first slots could be filled, or fewer than half of all slots.
    """
    return await filled(SlotFiller(step, params, PROMPT, difficulty=params.difficulty))


class SelectParams(FillParams):
    """Parameters of `select_by_logprob`."""

    per_call: int = Field(default=1, ge=1, le=1)
    over: int = Field(default=4, ge=2)
    """candidates per row. SuperGen's code keeps 3,000 of 25,000 for each of two labels, about one
    in eight."""

    def sampling(self) -> Sampling:
        """Return the sampling parameters, asking for log-probabilities too."""
        return replace(super().sampling(), logprobs=True)


@operator(INSTANCES, "select_by_logprob", SelectParams, PROMPT, reads=READS)
async def select_by_logprob(step: StepInput, params: SelectParams) -> StepResult:
    """Write `over` candidates per slot and keep the one with the highest mean log-probability.

    The mean is over the tokens of the texts that the model wrote: not over JSON keys and
    punctuation, nor over given fields. The mean of a short text varies more than that of a long
    one, so the highest of several is often a short one. Because each slot keeps its own best
    candidate, labels stay balanced and adding rows keeps earlier ones.

    Source: SuperGen (Meng et al., 2022), section on selecting training data: the average
    log-probability of the generated tokens, without a further correction for length
    (`token_probs` in gen_train_data.py). It ranks all candidates of a label together.

    Raises:
        StepError: the endpoint gives no log-probabilities (checked by the first call), none of the
            first slots could be filled, or fewer than half of all slots.
    """
    filler = SlotFiller(step, params, PROMPT, candidates=params.over)
    try:
        (probe,) = await answers(step.model, [filler.probe()])
    except EndpointError as error:
        if "logprobs" not in str(error):
            raise
        raise StepError(no_logprobs(step.spec.name)) from error
    if probe.status == "ok" and probe.mean_logprob is None:
        raise StepError(no_logprobs(step.spec.name))
    return await filled(filler)


class ComposeParams(FillParams):
    """Parameters of `compose`: one text per call, with the drawn values as requirements."""

    per_call: int = Field(default=1, ge=1)
    requirements: bool = True


@operator(INSTANCES, "compose", ComposeParams, COMPOSE_PROMPT, reads=READS)
async def compose(step: StepInput, params: ComposeParams) -> StepResult:
    """Write one text per slot from its drawn values, seed and labels.

    Source: the prompt of TinyStories (Eldan and Li, 2023, section 2): words to use and features
    to have.

    Raises:
        StepError: none of the first texts is valid, or fewer than half of the rows are.
    """
    return await filled(SlotFiller(step, params, COMPOSE_PROMPT))


@operator(INSTANCES, "file", reads=("given_rows",))
async def instances_file(step: StepInput, params: Any) -> StepResult:
    """Use the rows of the task's file, in order, up to the number of wanted rows.

    Rows have no intended label; annotation labels them.

    Raises:
        StepError: no row is valid.
    """
    spec, result = step.spec, StepResult()
    for slot, row in checked_rows(step, spec.given_rows, result, False, spec.wanted_instances):
        content = {name: row.get(name) for name in spec.fields}
        result.rows.append(
            {
                "instance_id": ids.instance_id(spec.name, slot, None, content),
                "slot": slot,
                "parent_ids": [],
                "depth": 0,
                **content,
            }
        )
    result.warnings += long_rows_warnings(spec)
    count = len(result.rows)
    if count < spec.rows:
        result.warnings.append(
            f"{spec.rows_file} has {count} valid rows, fewer than the {spec.rows} that `rows` asks "
            f"for: the data set will have at most {count}. Add rows to the file, or set `rows: "
            f"{count}` in the task"
        )
    return result
