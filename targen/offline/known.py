"""The tasks that the embedded model knows, one grammar each; a new one is a line here.

Nothing else belongs here: which grammar a prompt means is for the brain to find out.
"""

from typing import Final

from targen.offline.axg import AxgGrammar
from targen.offline.boolq import BoolqGrammar
from targen.offline.cb import CbGrammar
from targen.offline.choices import CHOICES
from targen.offline.claims import CLAIMS, CLOSED, STRATEGY
from targen.offline.copa import CopaGrammar
from targen.offline.documents import DocumentGrammar
from targen.offline.german import GermanTicketGrammar
from targen.offline.grammar import Grammar
from targen.offline.instructions import InstructionGrammar
from targen.offline.passages import PASSAGES
from targen.offline.record import RecordGrammar
from targen.offline.reviews import ReviewGrammar
from targen.offline.rte import RteGrammar
from targen.offline.stories import StoryGrammar
from targen.offline.textbook import TextbookGrammar
from targen.offline.wic import WicGrammar
from targen.offline.wsc import WscGrammar

GRAMMARS: Final[tuple[Grammar, ...]] = (
    RteGrammar(),
    CopaGrammar(),
    BoolqGrammar(),
    CbGrammar(),
    AxgGrammar(),
    WscGrammar(),
    WicGrammar(),
    RecordGrammar(),
    *CHOICES,
    *PASSAGES,
    CLOSED,
    STRATEGY,
    CLAIMS,
    InstructionGrammar(),
    ReviewGrammar(),
    StoryGrammar(),
    TextbookGrammar(),
    GermanTicketGrammar(),
    DocumentGrammar(),
)
"""The tasks that the model knows; the first that matches is the one."""
