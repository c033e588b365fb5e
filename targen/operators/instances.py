"""Step 4: instances, one for each slot of the plan."""

from dataclasses import replace

from pydantic import Field

from targen.errors import EndpointError, StepError
from targen.llm.types import Sampling
from targen.operators.asking import answers
from targen.operators.base import StepInput, StepResult
from targen.operators.filling import Filling, FillParams, fill_slots, no_logprobs
from targen.tasks.registry import operator

PROMPT = "instances/label_constrained.md"


class LabelConstrainedParams(FillParams):
    """Parameters of `label_constrained`."""


@operator(
    "instances", "label_constrained", LabelConstrainedParams, PROMPT, reads=("requirement_words",)
)
async def label_constrained(step: StepInput, params: LabelConstrainedParams) -> StepResult:
    """Fill the slots of the plan under their labels' constraints.

    Source: TarGEN (Gupta et al., 2024), section 3, step 3, label-constrained generation.

    Raises:
        StepError: not one of the first slots could be filled, or fewer than half of the rows.
    """
    return await fill_slots(Filling(step, params, PROMPT))


class SelectParams(FillParams):
    """Parameters of `select_by_logprob`.

    Attributes:
        over: candidates for each row; SuperGen keeps 6,000 of 25,000, about one in four.
    """

    per_call: int = Field(default=1, ge=1, le=1)
    over: int = Field(default=4, ge=2)

    def sampling(self) -> Sampling:
        """Return the sampling parameters, asking for log-probabilities too."""
        return replace(super().sampling(), logprobs=True)


@operator("instances", "select_by_logprob", SelectParams, PROMPT, reads=("requirement_words",))
async def select_by_logprob(step: StepInput, params: SelectParams) -> StepResult:
    """Write `over` candidates for each slot, keep the one of the highest mean log-probability.

    The mean is over all tokens of the answer. As each slot keeps its own best, labels stay
    balanced, and more rows never push one out.

    Source: SuperGen (Meng et al., 2022), which ranks all candidates of a label
    together; the share kept is the same.

    Raises:
        StepError: the endpoint gives no log-probabilities, which the first call finds out; not one
            of the first slots could be filled; or fewer than half of the rows.
    """
    work = Filling(step, params, PROMPT, candidates=params.over)
    try:
        (probe,) = await answers(step.model, [work.probe()])
    except EndpointError as error:
        if "logprobs" not in str(error):
            raise
        raise StepError(no_logprobs(step.spec.name)) from error
    if probe.status == "ok" and probe.mean_logprob is None:
        raise StepError(no_logprobs(step.spec.name))
    return await fill_slots(work)
