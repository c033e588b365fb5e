"""The faults that `bench.planted` puts into clean rows.

Every fault changes a copy of the rows. `main` is the field with the longest text, `cue` the field
that an artefact goes into; they can be the same field.
"""

# ruff: noqa: D103, E501 - the names of the faults say what they do; their tables are wide

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Rows = list[Row]


@dataclass(frozen=True)
class Base:
    """Clean rows to plant faults in.

    Attributes:
        name: of the base data set.
        rows: the clean rows.
        gold: other rows of the same source.
        main: the field with the longest text.
        cue: the field that a single-phrase artefact goes into.
        fields: all text fields.
        labels: the labels.
    """

    name: str
    rows: Rows
    gold: Rows
    main: str
    cue: str
    fields: tuple[str, ...]
    labels: tuple[str, ...]


Plant = Callable[[Base, float, random.Random], Rows]


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: of the fault.
        plant: returns the rows with the fault.
        strengths: the strengths to plant, the strongest first.
        named: a pattern of the sentences that name the fault.
        bases: base data sets that it applies to; empty for all.
        review: the strengths that the review of the report used; they count towards the target.
        with_gold: the verdict needs gold rows to see it.
    """

    name: str
    plant: Plant
    strengths: tuple[float, ...]
    named: str
    bases: tuple[str, ...] = ()
    review: tuple[float, ...] = field(default=())
    with_gold: bool = False


def _some(rows: Sequence[Row], share: float, draw: random.Random) -> list[int]:
    count = max(1, round(share * len(rows)))
    return sorted(draw.sample(range(len(rows)), min(count, len(rows))))


def _other(base: Base, label: str, draw: random.Random) -> str:
    return draw.choice([name for name in base.labels if name != label])


def _copy(rows: Sequence[Row]) -> Rows:
    return [dict(row) for row in rows]


def _edit(
    base: Base, share: float, draw: random.Random, name: str, change: Callable[[Row], str]
) -> Rows:
    """Replace the field `name` of a share of the rows by what `change` returns."""
    rows = _copy(base.rows)
    for i in _some(rows, share, draw):
        rows[i][name] = change(rows[i])
    return rows


def _edit_first(
    base: Base, share: float, draw: random.Random, name: str, change: Callable[[Row], str]
) -> Rows:
    """Replace the field `name` of a share of the first label's rows by what `change` returns."""
    rows = _copy(base.rows)
    own = [i for i, row in enumerate(rows) if row["label"] == base.labels[0]]
    for i in draw.sample(own, round(share * len(own))):
        rows[i][name] = change(rows[i])
    return rows


def _change_copies(
    base: Base, share: float, draw: random.Random, change: Callable[[str], str]
) -> Rows:
    """Replace a share of the rows by copies of other rows with changed texts."""
    rows = repeated(base, share, draw)
    seen: set[str] = set()
    for row in rows:
        key = "\n".join(str(row[name]) for name in base.fields)
        if key in seen:
            for name in base.fields:
                row[name] = change(row[name])
        seen.add(key)
    return rows


def flipped(base: Base, share: float, draw: random.Random) -> Rows:
    rows = _copy(base.rows)
    for i in _some(rows, share, draw):
        rows[i]["label"] = _other(base, rows[i]["label"], draw)
    return rows


def one_sided(base: Base, share: float, draw: random.Random) -> Rows:
    """Give a share of the first label's rows the second label."""
    return _edit_first(base, share, draw, "label", lambda _: base.labels[1])


def shuffled(base: Base, share: float, draw: random.Random) -> Rows:
    """Permute the labels of a share of the rows."""
    rows = _copy(base.rows)
    chosen = _some(rows, share, draw)
    labels = [rows[i]["label"] for i in chosen]
    draw.shuffle(labels)
    for i, label in zip(chosen, labels, strict=True):
        rows[i]["label"] = label
    return rows


def contradictory(base: Base, share: float, draw: random.Random) -> Rows:
    """Replace a share of the rows by copies of other rows with another label."""
    rows = _copy(base.rows)
    chosen = _some(rows, min(share, 0.5), draw)
    sources = draw.sample([i for i in range(len(rows)) if i not in set(chosen)], len(chosen))
    for i, source in zip(chosen, sources, strict=True):
        rows[i] = dict(rows[source], label=_other(base, rows[source]["label"], draw))
    return rows


def repeated(base: Base, share: float, draw: random.Random) -> Rows:
    rows = _copy(base.rows)
    chosen = _some(rows, share, draw)
    sources = draw.sample([i for i in range(len(rows)) if i not in set(chosen)], len(chosen))
    for i, source in zip(chosen, sources, strict=True):
        rows[i] = dict(rows[source])
    return rows


def artefact(base: Base, share: float, draw: random.Random) -> Rows:
    """Add one word to a share of the first label's rows."""

    def change(row: Row) -> str:
        words = row[base.cue].split()
        words.insert(min(2, len(words)), "allegedly")
        return " ".join(words)

    return _edit_first(base, share, draw, base.cue, change)


def formatted(base: Base, share: float, draw: random.Random) -> Rows:
    """End a share of the first label's rows in an exclamation mark."""
    return _edit_first(base, share, draw, base.cue, lambda row: row[base.cue].rstrip(" .?!") + "!")


SYNONYMS = {
    "the": "this", "a": "one", "is": "remains", "are": "remain", "was": "has been", "of": "from", "in": "within",
    "and": "plus", "to": "towards", "with": "alongside", "has": "possesses", "have": "possess",
    "can": "could", "you": "one", "many": "numerous", "people": "persons", "but": "yet", "for": "on behalf of",
    "his": "their", "her": "their", "it": "this thing", "not": "never", "by": "through", "on": "upon",
    "from": "out of", "that": "which", "an": "one", "do": "would", "does": "would", "be": "become", "i": "we",
    "my": "our", "as": "like",
}  # fmt: skip


def synonyms(base: Base, share: float, draw: random.Random) -> Rows:
    """Replace a share of the rows by copies with every second replaceable word replaced."""

    def change(text: str) -> str:
        words, due = text.split(), True
        for i, word in enumerate(words):
            if word.lower() in SYNONYMS:
                words[i] = SYNONYMS[word.lower()] if due else word
                due = not due
        return " ".join(words)

    return _change_copies(base, share, draw, change)


FILLER = (
    *("green", "table", "number", "eleven", "often", "over", "quite"),
    *("along", "river", "stone", "paper", "light", "seven", "again"),
)


def edited(base: Base, share: float, draw: random.Random) -> Rows:
    """Replace a share of the rows by copies with every sixth word replaced."""

    def change(text: str) -> str:
        words = text.split()
        for i in range(draw.randrange(6), len(words), 6):
            words[i] = draw.choice(FILLER)
        return " ".join(words)

    return _change_copies(base, share, draw, change)


def lengthened(base: Base, share: float, draw: random.Random) -> Rows:
    """Append a clause to a share of the first label's rows."""
    clauses = [
        "as far as anyone who looked into the matter at the time was able to tell",
        "which is what most of those who were there would later say about it",
        "although the details changed a little each time that somebody asked about them",
        "even if few of the people in the region had heard about it before that day",
        "since there was hardly a reason for anybody to think of anything else then",
        "and this did not surprise the ones who had followed the events for a while",
    ]

    def change(row: Row) -> str:
        extra = draw.sample(" ".join(clauses).split(), 14)
        return f"{row[base.cue].rstrip(' .?!')} {' '.join(extra)}."

    return _edit_first(base, share, draw, base.cue, change)


def contaminated(base: Base, share: float, draw: random.Random) -> Rows:
    """Replace a share of the rows by gold rows."""
    rows = _copy(base.rows)
    chosen = _some(rows, share, draw)
    for i, source in zip(
        chosen, draw.sample(base.gold, min(len(chosen), len(base.gold))), strict=False
    ):
        rows[i] = dict(source)
    return rows


def one_class(base: Base, share: float, draw: random.Random) -> Rows:
    """Keep so few rows of the other labels that the first has this share."""
    own = [row for row in base.rows if row["label"] == base.labels[0]]
    others = [row for row in base.rows if row["label"] != base.labels[0]]
    count = max(5, round(len(own) * (1 - share) / share))
    rows = own + draw.sample(others, min(count, len(others)))
    draw.shuffle(rows)
    return _copy(rows)


GRAMMARS = {
    "German": (
        ["Die Stadt", "Der alte Bauer", "Unsere Nachbarin", "Ein junger Arzt", "Das kleine Museum", "Die Regierung"],
        ["hat im vergangenen Jahr", "wollte schon lange", "wird in den nächsten Wochen", "musste wegen des Wetters"],
        ["die Brücke über den Fluss erneuern", "ein neues Haus neben der Kirche bauen",
         "keine weiteren Gäste mehr aufnehmen", "den Vertrag mit der Firma kündigen",
         "alle Bücher aus dem Keller holen"],
    ),
    "French": (
        ["La ville", "Le vieux paysan", "Notre voisine", "Un jeune médecin", "Le petit musée", "Le gouvernement"],
        ["a décidé cette année de", "voulait depuis longtemps", "devrait dans les prochaines semaines",
         "a refusé à cause du temps de"],
        ["réparer le pont sur la rivière", "construire une maison à côté de l'église",
         "ne plus recevoir les invités", "rompre le contrat avec l'entreprise", "sortir les livres de la cave"],
    ),
    "Spanish": (
        ["La ciudad", "El viejo campesino", "Nuestra vecina", "Un joven médico", "El pequeño museo", "El gobierno"],
        ["ha decidido este año", "quería desde hace tiempo", "tendrá que en las próximas semanas",
         "no pudo por culpa del tiempo"],
        ["arreglar el puente sobre el río", "construir una casa al lado de la iglesia",
         "recibir a más invitados", "romper el contrato con la empresa", "sacar los libros del sótano"],
    ),
    "Chinese": (
        ["这座城市", "老农民", "我们的邻居", "年轻的医生", "小博物馆", "政府"],
        ["今年决定", "一直想要", "在接下来的几周内将", "由于天气原因不得不"],
        ["修复河上的桥", "在教堂旁边建一座房子", "不再接待客人", "取消与公司的合同", "把书从地下室搬出来"],
    ),
}  # fmt: skip


def foreign(base: Base, share: float, draw: random.Random) -> Rows:
    def change(_: Row) -> str:
        language = draw.choice(sorted(GRAMMARS))
        text = " ".join(draw.choice(part) for part in GRAMMARS[language])
        return text + ("。" if language == "Chinese" else ".")

    rows = _copy(base.rows)
    for i in _some(rows, share, draw):
        for name in base.fields:
            rows[i][name] = change(rows[i])
    return rows


SKELETONS = [
    "It is a well known fact that {} is closely related to {} in many ways.",
    "When people think about {}, they usually think about {} as well.",
    "There is no doubt that {} would not exist without {} these days.",
    "Experts agree that {} has always been more important than {} overall.",
    "Everyone who has ever seen {} knows that {} is quite different.",
    "In the past {} was often confused with {} by most observers.",
    "The main difference between {} and {} is hard to explain.",
    "Some say that {} depends on {}, but this has never been shown.",
    "Before anyone talks about {}, they should learn about {} first.",
    "The history of {} shows how much {} can change over time.",
]


def templates(base: Base, share: float, draw: random.Random) -> Rows:
    """Write a share of the rows from ten templates, filled with words of the row."""

    def change(row: Row) -> str:
        words = [w.strip(".,;:!?\"'()") for w in row[base.main].split()]
        long = [w for w in words if len(w) > 4] or ["something"]
        return draw.choice(SKELETONS).format(draw.choice(long), draw.choice(long))

    return _edit(base, share, draw, base.cue, change)


def one_name(base: Base, share: float, draw: random.Random) -> Rows:
    """Name one invented person in a share of the rows."""
    return _edit(
        base, share, draw, base.main, lambda row: f"Elara Voss knows this: {row[base.main]}"
    )


def opening(base: Base, share: float, draw: random.Random) -> Rows:
    """Begin a share of the rows with one phrase."""
    phrase = "In today's fast-paced world,"
    return _edit(base, share, draw, base.main, lambda row: f"{phrase} {row[base.main]}")


def label_phrase(base: Base, share: float, draw: random.Random) -> Rows:
    """State the label in the text of a share of the rows."""
    return _edit(
        base, share, draw, base.cue,
        lambda row: f"{row[base.cue].rstrip(' .')}. The correct label is {row['label']}.",
    )  # fmt: skip


def contacts(base: Base, share: float, draw: random.Random) -> Rows:
    def change(row: Row) -> str:
        name = draw.choice(["j.miller", "anna.k", "support", "t_brown", "info.desk"])
        host = draw.choice(["mailbox.org", "gmail.com", "firm-west.co.uk"])
        phone = f"+1 ({draw.randrange(200, 990)}) {draw.randrange(200, 999)}-{draw.randrange(1000, 9999)}"
        return f"{row[base.main]} Contact {name}{draw.randrange(99)}@{host} or {phone}."

    return _edit(base, share, draw, base.main, change)


def luhn(digits: str) -> str:
    """Return the digits with their Luhn check digit."""
    total = 0
    for i, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if i % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return digits + str(-total % 10)


def identity_numbers(base: Base, share: float, draw: random.Random) -> Rows:
    """Put a card number, an IBAN or a US social security number into a share of the rows."""

    def iban() -> str:
        body = "".join(str(draw.randrange(10)) for _ in range(18))
        number = int(body + "131400")
        return f"DE{98 - number % 97:02d}{body}"

    def change(row: Row) -> str:
        kind = draw.randrange(3)
        if kind == 0:
            card = luhn("4" + "".join(str(draw.randrange(10)) for _ in range(14)))
            extra = "card " + " ".join(card[i : i + 4] for i in range(0, 16, 4))
        elif kind == 1:
            extra = f"account {iban()}"
        else:
            extra = f"SSN {draw.randrange(100, 665)}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}"
        return f"{row[base.main]} Paid with {extra}."

    return _edit(base, share, draw, base.main, change)


def truncated(base: Base, share: float, draw: random.Random) -> Rows:
    """Cut a share of the rows in the middle of a sentence."""

    def change(row: Row) -> str:
        words = row[base.main].split()
        return " ".join(words[: max(3, int(len(words) * draw.uniform(0.4, 0.8)))]).rstrip(
            ".,;!?\"'"
        )

    return _edit(base, share, draw, base.main, change)


REFUSALS = [
    "I'm sorry, but I cannot help with this request about {}.",
    "I cannot create content on {}, as it may be harmful.",
    "As an AI language model, I am not able to write about {}.",
    "I'm sorry, I can't assist with that. Please ask something other than {}.",
    "Unfortunately, I am unable to provide an example that involves {}.",
    "I apologize, but I can't generate this text on {} because it goes against my guidelines.",
]


def refusals(base: Base, share: float, draw: random.Random) -> Rows:
    def change(row: Row) -> str:
        long = [w.strip(".,;:!?\"'()") for w in row[base.main].split() if len(w) > 4] or ["it"]
        return draw.choice(REFUSALS).format(draw.choice(long))

    return _edit(base, share, draw, base.cue, change)


def empty(base: Base, share: float, draw: random.Random) -> Rows:
    return _edit(base, share, draw, base.cue, lambda _: draw.choice(["", " ", "N/A"]))


def mojibake(base: Base, share: float, draw: random.Random) -> Rows:
    """Read UTF-8 quotes, dashes and accents as Windows-1252, as a wrong import does."""

    def change(row: Row) -> str:
        words = row[base.main].split()
        words.insert(len(words) // 2, "“caf\u00e9”")
        return " ".join(words).encode().decode("cp1252", "replace")

    return _edit(base, share, draw, base.main, change)


def entities(base: Base, share: float, draw: random.Random) -> Rows:
    def change(row: Row) -> str:
        words = row[base.main].split()
        words.insert(len(words) // 2, draw.choice(["&amp;", "&quot;so&quot;", "<br />", "&#39;s"]))
        return " ".join(words)

    return _edit(base, share, draw, base.main, change)


def invisible(base: Base, share: float, draw: random.Random) -> Rows:
    def change(row: Row) -> str:
        words = row[base.main].split()
        at = draw.randrange(len(words))
        words[at] = (
            words[at][:1] + draw.choice(["\u200b", "\x07", "\ufeff", "\u2060"]) + words[at][1:]
        )
        return " ".join(words)

    return _edit(base, share, draw, base.main, change)


PREAMBLES = [
    "Sure! Here is the text you asked for:", "Here's a new example for the data set:",
    "Certainly! Here is one that fits the label:", "Here is the generated example:",
]  # fmt: skip


def preambles(base: Base, share: float, draw: random.Random) -> Rows:
    return _edit(
        base, share, draw, base.main, lambda row: f"{draw.choice(PREAMBLES)} {row[base.main]}"
    )


def loops(base: Base, share: float, draw: random.Random) -> Rows:
    """Repeat the last words of the text many times, as a model in a loop does."""

    def change(row: Row) -> str:
        tail = " ".join(row[base.main].split()[-4:])
        return f"{row[base.main]} {' '.join([tail] * 12)}"

    return _edit(base, share, draw, base.main, change)


def placeholders(base: Base, share: float, draw: random.Random) -> Rows:
    def change(row: Row) -> str:
        words = row[base.main].split()
        mark = draw.choice(["[NAME]", "{{entity}}", "<INSERT TEXT>", "[insert place here]", "XXX"])
        words[draw.randrange(len(words))] = mark
        return " ".join(words)

    return _edit(base, share, draw, base.main, change)


def markup(base: Base, share: float, draw: random.Random) -> Rows:
    """Wrap the text in JSON or Markdown, as an answer that was parsed badly."""

    def change(row: Row) -> str:
        return draw.choice(
            ['```json {{"text": "{}"}} ```', '{{"answer": "{}"}}', "**Text:** {}"]
        ).format(row[base.main])

    return _edit(base, share, draw, base.main, change)


def constant(base: Base, share: float, draw: random.Random) -> Rows:
    """Give a share of the rows the same text in one of two fields."""
    return _edit(base, share, draw, base.main, lambda _: base.rows[0][base.main])


PAIRS = ("rte", "boolq")
FAULTS = (
    Fault("labels flipped", flipped, (0.2, 0.1),
          r"label.*(suspect|wrong|mislabel)|suspect", ("kinds",), (0.2,)),
    Fault("labels flipped, one side", one_sided, (0.3, 0.15),
          r"label.*(suspect|wrong|mislabel)|suspect", ("kinds",)),
    Fault("labels shuffled", shuffled, (1.0,), r"(chance|majority|guess|no better)", ("kinds",),
          with_gold=True),
    Fault("contradictory duplicates", contradictory, (0.1, 0.03), r"contradict|different label", review=(0.1,)),
    Fault("exact duplicates", repeated, (0.1, 0.03), r"(repeat|copy|copies|duplicate).*(exact|earlier)"),
    Fault("artefact", artefact, (0.6, 0.25), r"allegedly|shortcut|predict.* only", review=(0.6, 0.25)),
    Fault("label by format", formatted, (0.8, 0.4), r"punctuation|format|“!”|end"),
    Fault("near duplicates by synonyms", synonyms, (0.15, 0.05), r"near(ly)? (duplicate|equal)", review=(0.15,)),
    Fault("near duplicates, every sixth word", edited, (0.15, 0.05), r"near(ly)? (duplicate|equal)",
          review=(0.15,)),
    Fault("length tells the label", lengthened, (0.9, 0.4), r"length", review=(0.9, 0.4)),
    Fault("contamination", contaminated, (0.15, 0.03), r"reference|gold", review=(0.15, 0.03),
          with_gold=True),
    Fault("one class", one_class, (0.98, 0.9), r"uneven|imbalance|rare|of the rows have the label", review=(0.98,)),
    Fault("other languages", foreign, (0.2, 0.05), r"language|script", review=(0.2,)),
    Fault("ten templates", templates, (1.0, 0.4), r"template|skeleton|alike|self-BLEU|frame", review=(1.0,)),
    Fault("one name", one_name, (1.0, 0.5), r"Elara|elara|Voss|same (name|phrase)", review=(1.0,)),
    Fault("opening phrase", opening, (0.6, 0.3), r"fast|today|phrase"),
    Fault("label in the text", label_phrase, (0.2, 0.1), r"states? their own label|correct label",
          review=(0.2,)),
    Fault("e-mail and phone", contacts, (0.1, 0.02), r"e-mail|phone|personal", review=(0.1,)),
    Fault("identity numbers", identity_numbers, (0.05, 0.02), r"card|IBAN|social security|personal"),
    Fault("truncated", truncated, (0.25, 0.1), r"truncat|cut off|unfinished|mid-sentence|final punctuation", review=(0.25,)),
    Fault("refusals", refusals, (0.1, 0.03), r"refus", review=(0.1,)),
    Fault("empty texts", empty, (0.1, 0.03), r"empty|no text", review=(0.1,)),
    Fault("mojibake", mojibake, (0.15, 0.05), r"encod|mojibake|garbled"),
    Fault("HTML entities", entities, (0.15, 0.05), r"HTML|markup|entit"),
    Fault("invisible characters", invisible, (0.1, 0.03), r"invisible|control|zero-width"),
    Fault("preambles", preambles, (0.15, 0.05), r"preamble|assistant|answers? of a model|here is|model.s own"),
    Fault("loops", loops, (0.1, 0.03), r"loop|repeat.* (words|themselves|itself)"),
    Fault("placeholders", placeholders, (0.1, 0.03), r"placeholder"),
    Fault("JSON and Markdown", markup, (0.15, 0.05), r"markup|JSON|Markdown"),
    Fault("one text for many rows", constant, (0.5, 0.2), r"(premise|passage).*(same|repeat|share|identical)|(same|repeat|share|identical).*(premise|passage)", PAIRS),
)  # fmt: skip


LEVELS = {"bad": 3, "warn": 2, "note": 1}


def sentences(verdict: Sequence[dict[str, Any]]) -> list[tuple[str, int]]:
    """Return the sentences of the first screen with their severity, without the good ones."""
    return [(item["text"], LEVELS[item["level"]]) for item in verdict if item["level"] != "good"]


def names(
    fault: Fault, said: Sequence[tuple[str, int]], clean: Sequence[tuple[str, int]]
) -> str | None:
    """Return the sentence that names the fault and that the clean set does not get, if any.

    Numbers are ignored in the comparison with the clean set, but a more severe finding counts.
    """
    pattern = re.compile(fault.named, re.IGNORECASE)
    before = {_bare(text): level for text, level in clean}
    for text, level in said:
        if pattern.search(text) is not None and level > before.get(_bare(text), 0):
            return text
    return None


def _bare(text: str) -> str:
    return re.sub(r"[\d.,%]+", "#", text)
