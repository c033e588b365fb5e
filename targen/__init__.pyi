from targen.api import (
    Generated,
    QualityReport,
    RowAudit,
    SimulatorWarning,
    TargenError,
    audit,
    generate,
    generate_sync,
    load_task,
    report,
)

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
