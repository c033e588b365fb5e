"""Step 4: instances, one for each slot of the plan."""

from targen.operators.base import StepInput, StepResult
from targen.operators.filling import Filling, FillParams, fill_slots
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
