"""Step 4: whole texts composed under requirements, one a call."""

from pydantic import Field

from targen.operators.base import StepInput, StepResult
from targen.operators.filling import Filling, FillParams, fill_slots
from targen.tasks.registry import operator

PROMPT = "instances/compose.md"


class ComposeParams(FillParams):
    """Parameters of `compose`: one text a call, what was drawn shown as requirements."""

    per_call: int = Field(default=1, ge=1)
    requirements: bool = True


@operator("instances", "compose", ComposeParams, PROMPT, reads=("requirement_words",))
async def compose(step: StepInput, params: ComposeParams) -> StepResult:
    """Write one text for each slot under what was drawn for it, its seed and its labels.

    Source: the prompt of TinyStories (Eldan and Li, 2023, section 2): words to use, features to
    have.

    Raises:
        StepError: not one of the first texts was valid, or fewer than half of the rows.
    """
    return await fill_slots(Filling(step, params, PROMPT))
