"""The simulator: an OpenAI-compatible model that writes from word lists, for demos and tests.

It needs no key and no network, and it answers every prompt of this project: contexts, seeds, rows,
labels and corrections, with errors at set rates. It is not a language model. It recognizes a task
by the fields and labels in the prompt's data block and fills sentence templates from `data/`, so
its rows are not training data, and figures measured on it say nothing about a real model.

**The private truth.** Every row has one right label, which is encoded in its text: `truth` hashes
the text with each label, and the lowest hash wins. The writer tries wordings until the hash names
the label that it means, or another label if it is meant to err. Readers compute the label of any
row from its text alone, and err at rates that the tests can check. The hash is an encoding, not
knowledge: it makes a wording carry its label, and says nothing about which label was asked for.

**What a message must say.** Like a real model, the writer knows the English language and the facts
in `data/`, but of a row only what the message says. It guesses what is missing:

| missing in the message | result |
| --- | --- |
| the constraint or definition of the label | a row of any label |
| the usual constraint, but that of another label is there | a row of that other label |
| the seed, or the given fields | a row about another subject |
| the order of the choices in a constraint of copa | the right choice in either place |
| the operator of a seed of cb | a verb of saying or thinking |
| the referent and case of a seed of axg | mostly the occupation, and the subject |
| the referent of a seed of wsc | mostly the first noun phrase |
| `without`, the features that a story must not have | some dialogue, lessons and quarrels |
| the way | any way, the most common ones first |
| required words, the opening, the number of paragraphs, the product, the length | any |

Three things are decided without the message. Questions with options have as many options as their
kind has in the published data sets (two or five). A text of wsc is written so that the hash agrees
with both of its noun phrases, because a row only chooses between them. And a reader needs only the
names of the labels, because the right label is in the text.

It is an ASGI application. `targen` does not import it: `resources` and the command line plug it in
as the endpoint if no model is set.
"""

from collections.abc import Mapping
from typing import Any


def application() -> Any:
    """Return a new application with the default error rates."""
    # The lexicons take a while to load.
    from simulator.app import create_app  # noqa: PLC0415

    return create_app()


def complete(body: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one chat completion request without HTTP."""
    from simulator.app import completion  # noqa: PLC0415
    from simulator.errors import ErrorRates  # noqa: PLC0415

    return completion(body, ErrorRates())
