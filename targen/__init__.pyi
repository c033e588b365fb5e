from targen.api import *  # noqa: F403 - the whole API
from targen.api import __all__ as __all__

__version__: str
