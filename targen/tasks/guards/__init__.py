"""Guards: checks of the content of generated texts, before a text becomes a row.

A validator checks whether a row has the form that the task requires. A guard checks whether a text
is content at all: models answer with the words of the prompt, talk about the task, refuse, repeat
themselves, change the language or stop in the middle of a sentence.
"""

from targen.tasks.guards.fault import REASONS, Fault, code_fields, fault, label_texts
from targen.tasks.guards.written import Written

__all__ = ["REASONS", "Fault", "Written", "code_fields", "fault", "label_texts"]
