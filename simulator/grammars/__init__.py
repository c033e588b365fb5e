"""The tasks that the simulator knows, one grammar each."""

from typing import Final

from simulator.grammar import Grammar
from simulator.grammars.axg import AxgGrammar
from simulator.grammars.cb import CbGrammar
from simulator.grammars.choices import CHOICES
from simulator.grammars.claims import CLAIMS, CLOSED, STRATEGY
from simulator.grammars.copa import CopaGrammar
from simulator.grammars.entities import EntityGrammar
from simulator.grammars.german import GermanTicketGrammar
from simulator.grammars.instructions import InstructionGrammar
from simulator.grammars.passages import PASSAGES, BoolqGrammar, DocumentGrammar
from simulator.grammars.record import RecordGrammar
from simulator.grammars.reviews import ReviewGrammar
from simulator.grammars.rte import RteGrammar
from simulator.grammars.stars import StarGrammar
from simulator.grammars.stories import StoryGrammar
from simulator.grammars.textbook import TextbookGrammar
from simulator.grammars.tickets import TicketGrammar
from simulator.grammars.wic import WicGrammar
from simulator.grammars.wsc import WscGrammar

GRAMMARS: Final[tuple[Grammar, ...]] = (
    RteGrammar(),
    CopaGrammar(),
    BoolqGrammar(),
    CbGrammar(),
    AxgGrammar(),
    WscGrammar(),
    WicGrammar(),
    RecordGrammar(),
    *(*CHOICES, *PASSAGES, CLOSED, STRATEGY, CLAIMS),
    InstructionGrammar(),
    ReviewGrammar(),
    StarGrammar(),
    StoryGrammar(),
    TextbookGrammar(),
    TicketGrammar(),
    GermanTicketGrammar(),
    EntityGrammar(),
    DocumentGrammar(),
)
"""The first grammar that matches a task is used."""
