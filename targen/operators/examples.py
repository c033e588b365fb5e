"""Step 3, for methods that grow from rows made by people: the task's examples as seeds."""

from typing import Any, Final

from targen.errors import StepError
from targen.hashing import canonical
from targen.lineage import ids
from targen.operators.base import StepInput, StepResult
from targen.tasks.registry import operator

KIND: Final = "example"
LABEL: Final = "label"


@operator("seeds", "examples", reads=("examples",))
async def examples(step: StepInput, params: Any) -> StepResult:
    """Take the task's `examples`, each as one seed; its label is an attribute."""
    result = StepResult(asked=len(step.spec.examples))
    for example in step.spec.examples:
        label = example.label if example.label is None else str(example.label)
        result.rows.append(
            {
                "seed_id": ids.example_id(KIND, example.fields, label),
                "context_id": None,
                "kind": KIND,
                "fields": canonical(example.fields),
                "attributes": [{"name": LABEL, "value": label}] if label is not None else [],
                "request_id": None,
            }
        )
    if not result.rows:
        raise StepError(
            "the recipe grows rows from examples made by people, and the task "
            "has none; add `examples` (or `examples_file`), each with its `fields` and `label`"
        )
    return result
