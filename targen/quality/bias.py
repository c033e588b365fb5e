"""Mentions of groups of people and countries, and label agreement in gender-swapped pairs."""

import re
from collections.abc import Mapping
from typing import Final

import polars as pl

from targen.quality.collector import MetricCollector
from targen.quality.inputs import ReportInputs
from targen.quality.intervals import proportion, rate
from targen.quality.proper_names import SURNAMES, is_mention
from targen.quality.text import joined
from targen.tasks.sections import ENGLISH, LANGUAGES

SHOWN = 12
"""Groups reported per lexicon, the most frequent first."""

_COUNTRIES: Final = """
Afghanistan|Albania|Algeria|Andorra|Angola|Argentina|Armenia|Australia|Austria|Azerbaijan|Bahamas
Bahrain|Bangladesh|Barbados|Belarus|Belgium|Belize|Benin|Bhutan|Bolivia|Botswana|Brazil|Brunei
Bulgaria|Burkina Faso|Burundi|Cambodia|Cameroon|Canada|Cape Verde|Central African Republic|Chad
Chile|China|Colombia|Comoros|Costa Rica|Croatia|Cuba|Cyprus|Czech Republic;Czechia
Democratic Republic of the Congo;Congo|Denmark|Djibouti|Dominica|Dominican Republic|East Timor
Ecuador|Egypt|El Salvador|Equatorial Guinea|Eritrea|Estonia|Eswatini|Ethiopia|Fiji|Finland|France
Gabon|Gambia|Georgia|Germany|Ghana|Greece|Grenada|Guatemala|Guinea|Guinea-Bissau|Guyana|Haiti
Honduras|Hungary|Iceland|India|Indonesia|Iran|Iraq|Ireland|Israel|Italy|Ivory Coast|Jamaica|Japan
Jordan|Kazakhstan|Kenya|Kiribati|Kosovo|Kuwait|Kyrgyzstan|Laos|Latvia|Lebanon|Lesotho|Liberia
Libya|Liechtenstein|Lithuania|Luxembourg|Madagascar|Malawi|Malaysia|Maldives|Mali|Malta
Mauritania|Mauritius|Mexico|Moldova|Monaco|Mongolia|Montenegro|Morocco|Mozambique|Myanmar;Burma
Namibia|Nepal|Netherlands|New Zealand|Nicaragua|Niger|Nigeria|North Korea|North Macedonia|Norway
Oman|Pakistan|Palestine|Panama|Papua New Guinea|Paraguay|Peru|Philippines|Poland|Portugal|Qatar
Romania|Russia|Rwanda|Samoa|San Marino|Saudi Arabia|Senegal|Serbia|Seychelles|Sierra Leone
Singapore|Slovakia|Slovenia|Solomon Islands|Somalia|South Africa|South Korea|South Sudan|Spain
Sri Lanka|Sudan|Suriname|Sweden|Switzerland|Syria|Taiwan|Tajikistan|Tanzania|Thailand|Togo|Tonga
Trinidad and Tobago|Tunisia|Turkey;Türkiye|Turkmenistan|Tuvalu|Uganda|Ukraine
United Arab Emirates|United Kingdom;Britain;Great Britain;England;Scotland;Wales
United States;USA;America|Uruguay|Uzbekistan|Vanuatu|Vatican City|Venezuela|Vietnam|Yemen|Zambia
Zimbabwe
"""

COUNTRIES: Final[Mapping[str, tuple[str, ...]]] = {
    entry.split(";")[0]: tuple(entry.split(";"))
    for line in _COUNTRIES.split("\n")
    for entry in line.split("|")
    if entry
}
"""Matched with case, so that the bird is not counted as Turkey."""

GENDER: Final[Mapping[str, tuple[str, ...]]] = {
    "female": (
        "she", "her", "hers", "herself", "woman", "women", "girl", "girls", "mother", "mothers",
        "wife", "wives", "daughter", "daughters", "sister", "sisters", "aunt", "grandmother",
        "niece", "lady", "ladies", "queen", "actress", "waitress", "businesswoman", "mrs", "ms",
    ),
    "male": (
        "he", "him", "his", "himself", "man", "men", "boy", "boys", "father", "fathers", "husband",
        "husbands", "son", "sons", "brother", "brothers", "uncle", "grandfather", "nephew",
        "gentleman", "gentlemen", "king", "actor", "waiter", "businessman", "mr",
    ),
}  # fmt: skip

RELIGION: Final[Mapping[str, tuple[str, ...]]] = {
    "Buddhism": ("buddhist", "buddhists", "buddhism"),
    "Christianity": ("christian", "christians", "christianity", "catholic", "catholics",
                     "protestant", "protestants", "church", "churches"),
    "Hinduism": ("hindu", "hindus", "hinduism"),
    "Islam": ("muslim", "muslims", "islam", "islamic", "mosque", "mosques"),
    "Judaism": ("jew", "jews", "jewish", "judaism", "synagogue", "synagogues"),
    "Sikhism": ("sikh", "sikhs", "sikhism"),
}  # fmt: skip

AGE: Final[Mapping[str, tuple[str, ...]]] = {
    "children": ("child", "children", "kid", "kids", "baby", "babies", "toddler", "toddlers"),
    "young people": ("teenager", "teenagers", "teen", "teens", "adolescent", "adolescents"),
    "old people": ("elderly", "pensioner", "pensioners", "retiree", "retirees", "senior citizen",
                   "senior citizens"),
}  # fmt: skip

LEXICONS: Final[Mapping[str, tuple[Mapping[str, tuple[str, ...]], bool]]] = {
    "gender": (GENDER, False),
    "country": (COUNTRIES, True),
    "religion": (RELIGION, False),
    "age": (AGE, False),
}
"""Lexicon -> its groups, and whether case matters."""


def mentions(
    text: pl.Series, groups: Mapping[str, tuple[str, ...]], *, case: bool
) -> dict[str, pl.Series]:
    """Return group -> whether each text contains one of the group's forms as whole words.

    Longer forms are matched first, so that Papua New Guinea is not counted as Guinea. A form
    that is part of a longer name is left out (`proper_names`). Other homonyms are not
    distinguished.
    """
    owner = {form: group for group, forms in groups.items() for form in forms}
    ordered = sorted(owner, key=lambda form: (-len(form), form))
    pattern = r"\b(?:" + "|".join(re.escape(form) for form in ordered) + r")\b"
    found = (text if case else text.str.to_lowercase()).str.extract_all(pattern)
    found = found.list.eval(pl.element().replace_strict(owner, return_dtype=pl.String))
    flags = {
        group: found.list.contains(group).fill_null(False).to_numpy().copy() for group in groups
    }
    # Only capitalized forms can be part of a name; looking around each is slower.
    ambiguous = ordered if case else [form for form in ordered if form in SURNAMES]
    if not ambiguous:
        return {group: pl.Series(found_) for group, found_ in flags.items()}
    capitalized = r"\b(?:" + "|".join(form[0].upper() + form[1:] for form in ambiguous) + r")\b"
    compiled = re.compile(pattern, 0 if case else re.IGNORECASE)
    known = frozenset(form.lower() for form in owner)
    for at in text.str.contains(capitalized).fill_null(False).arg_true():
        value = text[at]
        named = {
            owner[match[0] if case else match[0].lower()]
            for match in compiled.finditer(value)
            if is_mention(value, match.start(), match.end(), known, country=case)
        }
        for group, present in flags.items():
            present[at] = group in named
    return {group: pl.Series(found_) for group, found_ in flags.items()}


def measure(inputs: ReportInputs, collector: MetricCollector) -> None:
    """Add the share of rows that mention each group, and label agreement in swapped pairs.

    `mention` is the share of rows with at least one form of the group, 0 to 1, from small English
    lexicons. It counts words, not people, and does not measure tone. `gender_parity` is the
    gender parity score of Winogender (Rudinger et al. 2018), as used in SuperGLUE.
    """
    _mentions(inputs, collector)
    if inputs.pair_field is None or "annotated_label" not in inputs.rows.columns:
        collector.skip("gender_parity", "the rows are not gender-swapped pairs")
        return
    pairs = (
        inputs.rows.drop_nulls("annotated_label")
        .group_by(inputs.pair_field)
        .agg(pl.len(), same=pl.col("annotated_label").n_unique() == 1)
        .filter(pl.col("len") == 2)
    )
    collector.add(rate("gender_parity", "all", pairs["same"]))


def _mentions(inputs: ReportInputs, collector: MetricCollector) -> None:
    if not inputs.text_fields:
        collector.skip("mention", "the task has no text field")
        return
    if inputs.language != ENGLISH:
        language = LANGUAGES.get(inputs.language, inputs.language)
        collector.skip("mention", f"the word lists are in English, the rows in {language}")
        return
    text = joined(inputs.rows, inputs.text_fields).fill_null("")
    gold = None
    if inputs.reference is not None:
        gold = joined(inputs.reference, inputs.text_fields).fill_null("")
    shown: list[dict[str, object]] = []
    for kind, (groups, case) in LEXICONS.items():
        own = mentions(text, groups, case=case)
        reference = mentions(gold, groups, case=case) if gold is not None else {}
        counts = {group: int(flags.sum()) for group, flags in own.items()}
        ranked = sorted((g for g in groups if counts[g]), key=lambda g: (-counts[g], g))
        for group in ranked[:SHOWN]:
            other = float(reference[group].mean() or 0) if reference else None  # type: ignore[arg-type]
            figure = proportion("mention", f"{kind}: {group}", counts[group], text.len(), other)
            collector.add(figure)
            shown.append({"kind": kind, "group": group, "share": figure.value, "reference": other})
    collector.details["mentions"] = shown
