"""The Python API: generate rows, report on rows, and audit rows, without Dagster.

The functions read the same settings as the command line, and use the same completion store. They
write no table.
"""

from targen.api.audits import RowAudit, audit
from targen.api.generation import Generated, SimulatorWarning, generate, generate_sync
from targen.api.reports import QualityReport, report
from targen.api.tasks import load_task
from targen.errors import TargenError

__all__ = [
    "Generated",
    "QualityReport",
    "RowAudit",
    "SimulatorWarning",
    "TargenError",
    "audit",
    "generate",
    "generate_sync",
    "load_task",
    "report",
]
