from targen.api import (
    Generated,
    QualityReport,
    RowAudit,
    SimulatorWarning,
    audit,
    generate,
    generate_sync,
    load_task,
    report,
)
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

__version__: str
