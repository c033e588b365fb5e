"""Rows in another language than the set's, by script and by stop words.

The lists have the commonest words of a language that are rare or absent in the others. They tell
sentences apart, not single words, and do not tell closely related languages apart reliably.
"""

# ruff: noqa: E501 - one line of words per language

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion
from targen.quality.text import BATCH, joined, tokens, unique
from targen.tasks.sections import LANGUAGES

WORDS: Final = {
    "en": "the of and to is was that for with as on are by this it be from at his her they an have "
    "has not were which had their been will who what can its would when there you he she i my me",
    "de": "der die das und ist nicht ein eine einen den dem mit von zu auf für im sich auch werden "
    "wurde hat haben sind als bei nach aus wie aber oder wenn nur noch ich sie er es wir über keine",
    "fr": "le la les des du et est une un que qui dans pour pas sur avec au aux ce cette sont par plus "
    "il elle nous vous ne se mais ou été être ont avait depuis de à en",
    "es": "el los las una un del y es que en para con por se no su al lo como más pero sus este esta "
    "fue ha son está entre cuando muy sin sobre también hasta de la desde",
    "it": "il gli della di che è un una per non con del nel sono alla si anche come più ma dei delle "
    "questo stato essere ha hanno nella dal al le i la e",
    "pt": "o os uma um do da dos das e é que em para com não por se na no mais como mas foi ao ele "
    "são está pela pelo muito também até de",
    "nl": "de het een en van is niet dat op te met voor zijn er aan ook als bij maar om uit door naar "
    "heeft worden werd hij zij deze wordt nog over",
    "sv": "och att det som en är på för av med den till inte har de ett om var men sig så från kan "
    "vi han hon skulle",
    "da": "og at det som en er på for af med den til ikke har de et om var men sig så fra kan vi han "
    "hun skulle",
    "pl": "i w nie na się z do jest to że jak ale o po co tak za od przez są był była oraz który dla "
    "już może być",
    "cs": "a v na se je že s z do o k i to jako za by ale pro od po který jsou byl nebo tak jsem ve",
    "ro": "și în de la cu pe nu un o este că din pentru care mai sunt ca fost a se au prin dar",
    "tr": "ve bir bu da de için ile çok ne gibi daha olarak var olan kadar ama sonra en ki değil her",
    "id": "yang dan di ini itu dengan untuk dari tidak dalam akan pada adalah ke juga atau oleh ada",
    "vi": "và của là có không cho trong được một các với này người những khi đã để từ về như",
    "fi": "ja on ei että se oli hän mutta kun niin ovat myös joka tai olla kuin sen",
    "hu": "a az és hogy nem egy is ez volt van de meg már csak mint el ha",
}  # fmt: skip
"""ISO 639-1 code -> its commonest words."""
SCRIPTS: Final = {
    "ru": r"\p{Cyrillic}", "uk": r"\p{Cyrillic}", "bg": r"\p{Cyrillic}", "sr": r"\p{Cyrillic}\p{Latin}",
    "zh": r"\p{Han}", "ja": r"\p{Han}\p{Hiragana}\p{Katakana}", "ko": r"\p{Hangul}\p{Han}",
    "ar": r"\p{Arabic}", "fa": r"\p{Arabic}", "ur": r"\p{Arabic}", "he": r"\p{Hebrew}",
    "hi": r"\p{Devanagari}", "el": r"\p{Greek}", "th": r"\p{Thai}",
}  # fmt: skip
"""ISO 639-1 code -> its script; Latin for all others."""
LEAST: Final = 2
"""Distinct stop words of another language that a text must have."""


def in_another_script(text: pl.Series, language: str) -> npt.NDArray[np.bool_]:
    """Return whether most letters of each text are in another script than the language's."""
    script = SCRIPTS.get(language, r"\p{Latin}")
    full = text.fill_null("")
    letters = full.str.count_matches(r"\p{L}").to_numpy()
    # Greek letters occur in formulas of any language.
    own = full.str.count_matches(f"[{script}]").to_numpy()
    return np.asarray((letters >= 4) & (own * 2 < letters), dtype=bool)


def in_another_language(frame: pl.DataFrame, field: str, language: str) -> npt.NDArray[np.bool_]:
    """Return whether each text of a field is in another language than `language`.

    A text is if most of its letters are in another script, or if it has more distinct stop words
    of one other language than of its own, at least `LEAST` and at least twice as many.
    """
    parts = frame.select(field).iter_slices(BATCH)
    found = [_in_another_language(part, field, language) for part in parts]
    return np.concatenate(found) if found else np.zeros(0, dtype=bool)


def _in_another_language(frame: pl.DataFrame, field: str, language: str) -> npt.NDArray[np.bool_]:
    out = in_another_script(joined(frame, [field]), language)
    if language not in WORDS:
        return out
    text = tokens(frame, [field])
    if not text.ids.size:
        return out
    pairs = unique(text.rows * len(text.vocabulary) + text.ids)
    rows, ids = pairs // len(text.vocabulary), pairs % len(text.vocabulary)
    own = set(WORDS[language].split())
    vocabulary = {word: i for i, word in enumerate(text.vocabulary)}

    def hits(words: set[str]) -> npt.NDArray[np.int64]:
        wanted = np.zeros(len(text.vocabulary), dtype=bool)
        wanted[[vocabulary[word] for word in words if word in vocabulary]] = True
        return np.bincount(rows[wanted[ids]], minlength=text.height)

    mine = hits(own)
    for code, words in WORDS.items():
        if code != language:
            theirs = hits(set(words.split()) - own)
            out |= (theirs >= LEAST) & (theirs >= 2 * mine + 1)
    return out


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows with a text in another language."""
    rows, gold = inputs.rows, inputs.reference
    if not inputs.text_fields or not rows.height:
        collector.skip("other_language", "the rows have no text")
        return

    def flags(frame: pl.DataFrame) -> npt.NDArray[np.bool_]:
        found = [
            in_another_language(frame, name, inputs.language)
            for name in inputs.text_fields
            if frame.schema[name] == pl.String
        ]
        return np.logical_or.reduce(found) if found else np.zeros(frame.height, dtype=bool)

    own = flags(rows)
    other = None if gold is None or not gold.height else float(flags(gold).mean())
    collector.add(proportion("other_language", "all", int(own.sum()), own.size, other))
    collector.mark("other_language", own)
    collector.details["expected_language"] = LANGUAGES.get(inputs.language, inputs.language)
    shown = rows.filter(pl.Series(own)).head(5)
    collector.details["other_language"] = joined(shown, inputs.text_fields).to_list()
