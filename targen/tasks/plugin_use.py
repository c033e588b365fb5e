"""Which plug-ins the steps of a task use, for digests and audits."""

from targen.steps import QUALITY_REPORT, REGISTRY
from targen.tasks.plugin_kinds import Code, code_of
from targen.tasks.registry import operator_of
from targen.tasks.spec import TaskSpec


def plugins_of(step: str, spec: TaskSpec) -> list[dict[str, str]]:
    """Return the records (`Code.record`) of the plug-ins that a step uses, sorted."""
    found: list[Code] = []
    if step == QUALITY_REPORT:
        found += [metric.code for metric in spec.plugin_metrics]
    else:
        operator = operator_of(spec.recipe.choice(step), step)
        found += [] if operator.code is None else [code_of(operator)]
        reads = (*REGISTRY[step].reads, *operator.reads)
        if "validators" in reads:
            known = spec.plugin_set.validators
            named = {name for entry in spec.validators for name in entry}
            found += [code_of(known[name]) for name in named if name in known]
        if "guards" in reads:
            found += [guard.code for guard in spec.plugin_guards]
    return sorted((code.record() for code in found), key=lambda one: (one["kind"], one["name"]))


def identity_of(step: str, spec: TaskSpec) -> list[list[str]]:
    """Return kind, name and version of each plug-in that a step uses, for its digest."""
    return [[one["kind"], one["name"], one["version"]] for one in plugins_of(step, spec)]
