"""The registry of metrics: what each one is, where it is shown, and how it is used.

To add a metric, write its `measure`, enter it here, and run `make dictionary` for the docs. Task
files are checked against these names, so nothing slow is imported.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import polars as pl

from targen.columns import Column
from targen.tasks.registry import register_metrics

Better = Literal["lower", "higher"]
SHARE: Final = "0 to 1"


@dataclass(frozen=True)
class Compared:
    """The column of the comparison that shows a metric.

    Attributes:
        name: its column in the table `comparison`.
        title: its heading on the page.
        says: one or two sentences on what it means.
        unit: how it is written.
        zero: the axis starts at 0, so that lengths are comparable.
        better: where it differs from the metric.
        interval: the table also has the ends of the 95% interval.
    """

    name: str
    title: str
    says: str
    unit: Literal["share", "number", "usd"] = "share"
    zero: bool = False
    better: Better | None = None
    interval: bool = True


@dataclass(frozen=True)
class Metric:
    """What is known about a metric without computing it.

    Attributes:
        name: its name in the table `quality_report` and in gates.
        module: the module of this package whose `measure` adds it.
        section: the section of the page that shows it, a key of `page.SECTIONS`.
        words: its name in a sentence, as the subject.
        says: its definition.
        computed: how it is computed.
        limits: what it does not show.
        better: the end that is better; None if neither is.
        source: the publication that defines it.
        notable: the value from which `verdict` reports it, where the rule is a threshold.
        compared: its column in the comparison.
        range: the values it can take.
        share: it is shown as a percentage.
    """

    name: str
    module: str
    section: str
    words: str
    says: str
    computed: str
    limits: str = ""
    better: Better | None = None
    source: str = ""
    notable: float | None = None
    compared: Compared | None = None
    range: str = "0 or more"
    share: bool = False


_share = partial(Metric, range=SHARE, share=True)

_REGISTRY: Final = (
    Metric("rows", "accounting", "yield", "rows", "number of rows", "rows of the corrected set",
           "whether the rows are good", better="higher"),
    Metric("rows_asked", "accounting", "yield", "rows asked for", "number of rows asked for",
           "`rows` of the task"),
    Metric("rejected", "accounting", "yield", "rejected items",
           "number of rejected items, by step and reason", "count",
           "whether a rejection was right", better="lower", compared=Compared(
               "yield", "Yield", "Share of the written and judged rows that were kept; surplus "
               "rows are not counted.", zero=True, better="higher")),
    _share("acceptance", "accounting", "yield", "accepted items", "share of items that a step kept",
           "kept / (kept + rejected), without surplus", "what later steps reject", "higher"),
    Metric("calls", "accounting", "yield", "calls", "model calls, in total and by step",
           "completions that the tables descend from", "calls that failed and were never stored",
           better="lower", compared=Compared(
               "calls_per_row", "Calls per row", "Model calls of all steps per row kept.",
               "number", zero=True, interval=False)),
    Metric("prompt_tokens", "accounting", "yield", "tokens sent", "tokens sent",
           "sum, as counted by the endpoint", "another model's count", better="lower"),
    Metric("completion_tokens", "accounting", "yield", "tokens received", "tokens received",
           "sum, as counted by the endpoint", "another model's count", better="lower"),
    Metric("cost_usd", "accounting", "yield", "cost in US dollars", "cost of the rows",
           "sum at the prices first paid; unknown if one is unknown",
           "what this run paid: stored answers are free", better="lower"),
    Metric("accepted_per_call", "accounting", "yield", "rows accepted per call", "rows per call",
           "kept rows / calls", better="higher"),
    Metric("tokens_per_row", "spending", "yield", "tokens per row",
           "tokens per row, in total and by step",
           "(tokens sent + received) / kept rows", better="lower", compared=Compared(
               "tokens_per_row", "Tokens per row", "Tokens sent and received per row kept.",
               "number", zero=True, interval=False)),
    Metric("cost_per_row_usd", "spending", "yield", "cost per row in US dollars",
           "cost per row, in total and by step",
           "cost / kept rows", better="lower", compared=Compared(
               "cost_per_row_usd", "Cost per row", "US dollars per row kept, at the prices first "
               "paid; unknown if one is unknown.", "usd", zero=True, interval=False)),
    Metric("calls_per_row", "spending", "yield", "calls per accepted row",
           "model calls per accepted row, in total and by step", "calls / kept rows; a call that "
           "covers several rows counts once", "calls that failed and were never stored",
           better="lower"),
    Metric("prompt_tokens_per_row", "spending", "yield", "tokens sent per accepted row",
           "tokens sent per accepted row, in total and by step", "tokens sent / kept rows",
           "another model's count", better="lower"),
    Metric("cached_tokens_per_row", "spending", "yield", "cached tokens per accepted row",
           "tokens sent that the endpoint read from its prompt cache, per accepted row",
           "cached tokens / kept rows; part of the tokens sent", "endpoints that do not report it",
           better="higher"),
    Metric("output_tokens_per_row", "spending", "yield", "tokens received per accepted row",
           "tokens received per accepted row, in total and by step",
           "tokens received / kept rows", "another model's count", better="lower"),
    Metric("readings_saved", "savings", "yield", "readings not needed",
           "votes and corrections that were not asked for because they could not change a label",
           "votes planned - votes cast; rows not corrected", better="higher"),
    Metric("tokens_saved", "savings", "yield", "tokens saved by sequential judging",
           "tokens of the readings that were not needed",
           "readings not needed * mean tokens of one that was made", "an estimate",
           better="higher"),
    _share("label_share", "balance", "balance", "rows with the label", "share of each label",
           "rows with the label / rows", "whether labels are right"),
    Metric("label_entropy", "balance", "balance", "evenness of the labels (1 is even)",
           "evenness of the labels: 1 is even, 0 is a single label",
           "Shannon entropy of the shares / its maximum", "which label is short", range=SHARE),
    Metric("planned_entropy", "balance", "balance", "evenness of a planned field (1 is even)",
           "evenness of a field that the plan balances", "as `label_entropy`", "", range=SHARE),
    Metric("field_mean", "values", "balance", "mean of a field with numbers",
           "mean of each field of type integer or float", "mean of the values that are not empty",
           "the shape of the distribution", range="unbounded"),
    _share("field_share", "values", "balance", "rows with a value of a field",
           "share of rows with each value of a choice or a boolean", "rows / rows with a value",
           "values beyond the 20 most frequent"),
    Metric("position_chi_square", "balance", "balance", "chi-square of the answer's position",
           "deviation of the answer's position from chance",
           "sum of (observed - expected)² / expected",
           "the size of the effect: it grows with the number of rows"),
    Metric("position_p", "balance", "balance", "p-value of an even spread of the answer's position",
           "probability of such a deviation by chance", "chi-square, positions - 1 degrees of "
           "freedom", "exact only for counts of 5 and more", notable=0.01, range=SHARE),
    _share("flip_rate", "agreement", "agreement", "rows whose label changed",
           "share of rows whose label changed: intended to annotated, intended to final; for "
           "rows that were not written for a label, annotated to final",
           "changed / compared", "which of the two is right"),
    Metric("flips_annotated", "agreement", "agreement", "rows by intended and annotated label",
           "rows by intended and annotated label", "counts"),
    Metric("flips_final", "agreement", "agreement", "rows by intended and final label",
           "rows by intended and final label", "counts"),
    _share("split_votes", "agreement", "agreement", "rows with split votes",
           "share of rows on which the annotator's votes differ", "rows with a minority vote / "
           "rows", "errors that all votes of one model share"),
    Metric("kappa", "agreement", "agreement", "Cohen’s kappa of intended and annotated label",
           "agreement beyond chance: 1 is full agreement, 0 is chance",
           "(observed - chance) / (1 - chance)",
           "it falls when a label is rare, at equal agreement", "higher", "Cohen 1960",
           range="-1 to 1"),
    Metric("weighted_kappa", "ordinal", "agreement",
           "quadratic weighted kappa of intended and annotated label",
           "agreement of ordinal labels beyond chance: 1 is full agreement, 0 is chance",
           "1 - sum(w x observed) / sum(w x expected), w = squared distance in steps",
           "it falls when a label is rare, at equal agreement", "higher", "Cohen 1968",
           range="-1 to 1"),
    Metric("label_distance", "ordinal", "agreement", "mean distance of ordinal labels in steps",
           "mean distance between the intended label and the annotated or final one, in steps of "
           "the order", "sum of |rank - rank| / rows", "which of the two is right",
           better="lower"),
    _share("label_steps", "ordinal", "agreement", "rows whose label changed by a number of steps",
           "share of rows whose annotated or final label is a number of steps from the intended "
           "one", "rows / rows with both labels", "which of the two is right"),
    _share("entity_f1", "spans", "agreement", "agreement on entities (F1)",
           "F1 of the entities of two readings, in total and by type: offsets and type are equal",
           "2 x in both / (in the first + in the second), over all rows", "which of the two is "
           "right; correction reads disputed rows more often", "higher",
           "Tjong Kim Sang and De Meulder 2003"),
    Metric("entities_per_row", "spans", "balance", "entities per row", "entities per row",
           "occurrences in the text / rows"),
    _share("entity_share", "spans", "balance", "entities of a type",
           "share of the entities of each type", "entities of the type / entities"),
    _share("reader_accuracy", "panel", "other", "correct labels of a reader",
           "share of a reader's labels that are right, for each reader of a panel",
           "one accuracy per reader, by expectation maximization over all votes",
           "errors that the readers share: it is then too high", "higher",
           "Dawid and Skene 1979; one parameter per reader: Li, Yu and Zhou 2013"),
    Metric("reader_cost_usd", "panel", "other", "cost of a reader in US dollars per accepted row",
           "cost of a reader's calls per accepted row", "cost / kept rows",
           "calls that gave no label", better="lower"),
    Metric("naturalness", "panel", "other", "naturalness (1 to 5)",
           "mean score of the readers of a panel, from 1 (no person would write this) to 5",
           "sum of the scores / scores", "scores of models are generous", "higher", range="1 to 5"),
    _share("constraint_met", "panel", "other", "readings that find the constraint met",
           "share of readings that say that a row meets the constraint of its label",
           "readings that say so / readings that say either", "", "higher"),
    _share("set_consistency", "contrast", "other", "contrast sets with all rows right",
           "share of contrast sets on which a reader, or a student that has not seen the set, is "
           "right about every row", "sets with all rows right / sets; readers: intended labels, "
           "all sets; student: final labels, kept sets, TF-IDF and logistic regression",
           "whether the edits are small", "higher", "Gardner et al. 2020"),
    _share("set_changed", "contrast", "other", "words changed within a contrast set",
           "share of words that differ between the first row of a set and another one",
           "1 - 2 * matching words / words of both, in the fields that differ",
           "whether the label follows from the change", "lower"),
    _share("dropped_share", "agreement", "agreement", "rows dropped by correction",
           "share of rows that correction dropped", "dropped / (kept + dropped)"),
    _share("label_noise", "noise", "agreement", "estimated label errors",
           "estimated share of wrong final labels", "latent classes over three blind readings: a "
           "lower bound under independence, with a range up to the errors that the readings may "
           "share; a human review, if there is one, takes precedence",
           "where in the range the share is, without a review", "lower",
           "Dawid and Skene 1979; Balsubramani and Freund 2015", 0.05, Compared(
               "label_noise", "Estimated label errors", "Estimated share of wrong final labels, "
               "from blind readings of the same row or from a human review.", zero=True)),
    _share("reading_accuracy", "noise", "agreement", "correct labels of one reading",
           "share of correct labels of each reading", "from the same model as `label_noise`",
           "as `label_noise`", "higher"),
    _share("label_noise_steps", "noise", "agreement",
           "estimated label errors by a number of steps",
           "estimated share of final ordinal labels that are a number of steps from the true one",
           "from the same model as `label_noise`, if errors are independent", "as `label_noise`",
           "lower"),
    _share("detection", "noise", "agreement", "planted errors detected by correction",
           "share of planted wrong labels that correction detected", "detected / planted",
           "planted errors may be easier to detect than real ones", "higher"),
    _share("false_alarm", "noise", "agreement", "agreed labels changed by correction",
           "share of agreed labels that correction changed", "changed / agreed",
           "some of these labels were wrong: an upper bound", "lower"),
    _share("exact_duplicates", "duplicates", "repetition", "exact duplicates",
           "share of rows that repeat an earlier row",
           "equal after normalizing case, spaces and Unicode forms", "edits", "lower",
           notable=0.0),
    _share("near_duplicates", "duplicates", "repetition", "near duplicates",
           "share of rows almost equal to an earlier row", "Jaccard similarity of character "
           "5-grams at least 0.8 overall and 0.5 in every field; MinHash finds the candidates, "
           "each is checked", "paraphrases; a pair at 0.8 is missed once in 130 times", "lower",
           notable=0.05),
    _share("edited_copies", "copies", "repetition", "copies with changed words",
           "share of rows that copy an earlier row with up to about one word in three changed",
           "ROUGE-L F at least 0.6 over all words and 0.5 in every field, seven words or more; "
           "MinHash over rarer words finds the candidates", "paraphrases", "lower", "Lin 2004"),
    _share("repeats", "repeats", "repetition", "rows that repeat another row",
           "share of rows that equal or nearly equal another one, all but the first of each "
           "group, by number of rows; it grows with the number of rows",
           "1 - expected groups / rows; rows connected by exact or near duplicates or copies with "
           "changed words are a group", "paraphrases", "lower", "Hurlbert 1971"),
    _share("repeated_field", "uniformity", "repetition", "rows with the same text in a field",
           "share of rows with the commonest text of a field, where there are several fields",
           "rows / rows", "texts that differ by a letter", "lower"),
    _share("template_share", "uniformity", "wording", "rows in the ten commonest templates",
           "share of rows that follow one of the ten commonest templates, by field",
           "equal after replacing words found in less than 1% of the rows; templates of at least "
           "four words and five rows", "templates with variable wording", "lower"),
    _share("repeated_phrase", "uniformity", "wording", "rows with the commonest phrase",
           "share of rows with the commonest sequence of four words, by field", "rows / rows",
           "phrases with changing words", "lower"),
    _share("repeated_name", "uniformity", "wording", "rows with the commonest name",
           "share of rows with the commonest capitalized name", "rows / rows; names that also "
           "occur in lower case do not count", "names in languages that capitalize nouns", "lower"),
    *(
        _share(f"distinct_{n}", "lexical", "wording", f"distinct {what}",
               f"share of distinct {what}", "distinct / all, at equal word counts", "paraphrases",
               "higher", "Li et al. 2016", compared=Compared(
                   f"distinct_{n}", f"Distinct-{n}", f"Share of distinct {what}, at equal word "
                   "counts (`words`)."))
        for n, what in ((1, "words"), (2, "word pairs"), (3, "three-word sequences"))
    ),
    Metric("vocabulary", "lexical", "wording", "distinct words in a number of words",
           "distinct words in a fixed number of words", "mean over 20 row orders, cut at the same "
           "number of words", "meaning"),
    Metric("words", "lexical", "wording", "words per row", "words per row, by field", "mean"),
    _share("self_bleu", "self_similarity", "wording", "self-BLEU-4",
           "overlap of a row's wording with other rows: 1 is a copy",
           "mean BLEU-4 of each row against all others, seeded sample",
           "it grows with the number of rows: compare equal numbers", "lower", "Zhu et al. 2018",
           compared=Compared(
               "self_bleu", "Self-BLEU", "Overlap of a row's wording with other rows "
               "(of a sample, in large sets). It grows with the number of rows.", "number")),
    _share("rouge_l_nearest", "self_similarity", "wording", "ROUGE-L with the nearest row",
           "similarity to the nearest row: 1 is a copy",
           "mean of the best ROUGE-L F over the first 2,000 words", "parts in another order",
           "lower", "Lin 2004", compared=Compared(
               "nearest_rouge_l", "Nearest row", "ROUGE-L with the most similar row "
               "(of a sample, in large sets); 1 is a copy. It grows with the number of rows.",
               "number")),
    _share("novel", "self_similarity", "wording", "novel rows",
           "share of rows without a similar row", "best ROUGE-L F below 0.7", "paraphrases",
           "higher", "Wang et al. 2023"),
    Metric("rows_per_3gram", "self_similarity", "wording", "rows per distinct 3-gram (INGF)",
           "number of rows that contain the same 3-gram", "mean over distinct 3-grams (INGF)",
           "it grows with the number of rows", "lower", range="1 or more"),
    Metric("compression", "self_similarity", "wording", "compression ratio",
           "repetitiveness of the text", "bytes / bytes after DEFLATE, equal amounts",
           "repetition more than 32 kB apart", better="lower", source="Shaib et al. 2024"),
    _share("topic", "topics", "topics", "rows of a topic",
           "share of rows in each of up to eight topics, named by their words",
           "spherical k-means on TF-IDF, seeded; gold rows count for the nearest topic",
           "topics that share their words", source="Dhillon and Modha 2001"),
    _share("phrase", "topics", "topics", "rows with a phrase",
           "share of rows with each of the ten most frequent phrases of two or three words",
           "rows / rows, no stop words at the ends",
           "phrases with changing words"),
    Metric("mean_similarity", "semantic", "meaning", "mean cosine similarity of two rows",
           "similarity of meaning between rows: 1 is all the same",
           "mean cosine of all pairs, in closed form", "two tight groups look like one loose one",
           "lower", range="-1 to 1", compared=Compared(
               "similarity", "Similarity of meaning", "Mean cosine of embeddings over all pairs "
               "of rows.", "number")),
    Metric("reference_similarity", "semantic", "meaning",
           "mean cosine similarity to the reference", "similarity of meaning to the gold rows",
           "mean cosine of all pairs across, without copies", "whether it is the same in kind",
           range="-1 to 1"),
    Metric("similarity", "semantic", "meaning",
           "mean cosine similarity within or between labels",
           "similarity of meaning within and between labels", "as `mean_similarity`, by label",
           range="-1 to 1"),
    Metric("vendi_score", "semantic", "meaning",
           "Vendi score (effective number of different rows)",
           "effective number of different rows",
           "exp of the entropy of the eigenvalues of the cosine matrix / N",
           "it grows with the number of rows: compare equal samples", "higher",
           "Friedman and Dieng 2023", range="1 or more"),
    Metric("drift", "semantic", "meaning", "similarity to the root",
           "similarity of evolved rows to their root, by depth", "mean cosine to the root",
           "whether the change is an improvement", range="-1 to 1"),
    Metric("v_information", "difficulty", "difficulty", "V-usable information in bits",
           "bits of the label that a simple classifier extracts from the text; 0 is nothing",
           "mean over held-out rows of log2 p(label given text) - log2 p(label)",
           "what a bag of words cannot use", None,
           "Xu et al. 2020; Ethayarajh et al. 2022", compared=Compared(
               "v_information", "V-information", "Bits that a simple classifier learns about the "
               "label. Low: hard or noisy; high: easy.", "number"), range="unbounded"),
    _share("negative_pvi", "difficulty", "difficulty",
           "rows with negative pointwise V-information",
           "share of rows that mislead the classifier: hard or mislabeled",
           "rows whose own value is below 0", "which of the two", source="Ethayarajh et al. 2022"),
    _share("label_suspects", "suspects", "labels", "suspect labels",
           "share of rows whose label is likely wrong",
           "confident learning on held-out predictions of a simple classifier; only where it gains "
           "at least 15 points over guessing and 0.05 bits",
           "errors that a bag of words cannot see; hard rows count as errors", "lower",
           "Northcutt et al. 2021"),
    _share("contradictory_duplicates", "suspects", "labels", "rows with contradictory copies",
           "share of rows whose text also occurs with another label", "equal texts, normalized",
           "near copies", "lower"),
    _share("label_in_text", "suspects", "labels", "rows that state their label",
           "share of rows that name their own label, beyond chance",
           "(rows that name their own label - rows that name another one / (labels - 1)) / rows, "
           "if at least three standard deviations", "labels in other words", "lower"),
    _share("refusals", "surface", "texts", "refusals",
           "share of rows in which a model declines the request",
           "phrases at the beginning of a text, as the guard `refusal` finds them",
           "refusals in other words, in the middle of a text, or in languages other than English, "
           "German, French and Spanish", "lower"),
    _share("prompt_remains", "surface", "texts", "remains of an answer",
           "share of rows with words of the model to its user, or marks of a chat template",
           "English phrases at the start of a text, and marks anywhere", "other phrases", "lower"),
    _share("empty_texts", "surface", "texts", "empty texts",
           "share of empty texts, by field", "no letter or digit, or a word for nothing (N/A)", "",
           "lower"),
    _share("truncated_texts", "surface", "texts", "truncated texts",
           "share of texts without final punctuation, by field", "texts of at least four words, in "
           "fields in which at least 60% end in punctuation", "cuts at the end of a sentence",
           "lower"),
    _share("loops", "surface", "texts", "texts in a loop", "share of rows that repeat themselves",
           "as the guard `loop` finds them at its default threshold, without fields of code",
           "loops with changes", "lower"),
    _share("odd_texts", "surface", "texts", "odd texts",
           "share of rows with HTML, markup, placeholders, wrong encoding or invisible characters",
           "patterns", "legitimate use, as in code", "lower"),
    _share("personal_data", "surface", "texts", "personal data",
           "share of rows with e-mail addresses, phone, card, bank account or US social security "
           "numbers", "patterns; checksums of cards (Luhn) and IBANs (modulo 97)",
           "names and addresses; whether a person exists", "lower"),
    _share("other_language", "languages", "texts", "rows in another language",
           "share of rows with a text in another language than the set's", "script of the letters, "
           "and lists of stop words of 17 languages", "single words; close relatives", "lower"),
    Metric("shortcut", "shortcuts", "shortcuts", "accuracy gain from part of the input",
           "accuracy gained over guessing from part of the input, or from length alone",
           "held-out accuracy - accuracy of the most frequent label",
           "parts that legitimately determine a label", "lower", notable=0.05,
           compared=Compared(
               "shortcut", "Shortcut", "Accuracy gained over guessing from the most predictive "
               "part of the input alone (`shortcut_part`)."), range="-1 to 1"),
    Metric("word_log_odds", "shortcuts", "shortcuts", "log-odds of a word",
           "words that occur with a label more often than chance allows",
           "weighted log-odds, in standard deviations", "legitimate associations",
           None, "Monroe et al. 2008", notable=0.25, range="unbounded"),
    _share("mention", "bias", "mentions", "mentions of a group",
           "share of rows with a word of a group: gender, country, religion, age",
           "whole words of small English lists", "tone, and which share is fair"),
    _share("entity", "entities", "mentions", "rows that name an entity of a type",
           "share of rows that name a person, a place, an organization...",
           "a spaCy pipeline, with `targen report --entities` and the extra `spacy`",
           "the pipeline's errors"),
    _share("gender_parity", "bias", "mentions", "gender-swapped pairs with equal labels",
           "share of pairs that differ only in gender and have the same label", "equal / pairs",
           "bias that affects both rows of a pair", "higher", "Rudinger et al. 2018"),
    _share("coverage", "coverage", "coverage", "attribute values used",
           "share of drawn values, and pairs of values, that kept rows use", "used / drawn",
           "whether the text shows the value", "higher"),
    _share("adherence", "coverage", "coverage", "rows that meet their requirements",
           "share of rows with the required words and length",
           "met / required; any inflected form counts", "whether a word is used well", "higher"),
    _share("way_coverage", "coverage", "coverage", "rows of a label in one of its ways",
           "share of a label's rows that were planned in each of its ways; slice `thinnest` is "
           "the smallest share", "rows planned in the way / rows with the label",
           "whether the text follows the way", "higher"),
    _share("planned_difficulty", "coverage", "coverage", "rows of a planned difficulty",
           "share of rows by planned difficulty", "rows / rows with a planned difficulty",
           "whether the rows are as hard as planned"),
    _share("contamination", "contamination", "reference", "rows that copy reference text",
           "share of rows that repeat the reference", "eight consecutive words, or a whole short "
           "text", "copies with changed words", "lower", "Chowdhery et al. 2022", 0.0),
    _share("utility", "utility", "reference", "accuracy on gold data",
           "accuracy on gold data of a simple classifier trained on the set, and on as many gold "
           "rows", "five seeded halves of the gold data; also other tasks' gold data",
           "what a large model would gain", "higher", "Esteban et al. 2017", compared=Compared(
               "utility", "Accuracy on gold", "Accuracy on gold data of a simple classifier "
               "trained on the set.")),
    Metric("utility_gap", "utility", "reference", "accuracy on gold data minus that of gold rows",
           "accuracy after training on the set minus accuracy after training on as many gold rows",
           "paired: on the same test rows", "what a large model would gain", "higher",
           range="-1 to 1"),
    Metric("at_reference_size", "matched", "reference", "figure at the reference's number of rows",
           "figures that depend on the number of rows, at equal numbers for set and reference",
           "mean of 20 seeded draws of at most 300 rows; the interval is the middle 95% of draws",
           "rows beyond 300"),
    Metric("failures", "verdict", "other", "failures that the report names",
           "number of failures among the findings, without those that gold rows excuse", "count",
           "warnings", better="lower"),
)  # fmt: skip
METRICS: Final = {metric.name: metric for metric in _REGISTRY}
"""Name -> metric, in the order of the table."""
_plugins: dict[str, Metric] = {}


def learn(metric: Metric) -> None:
    """Keep what a plug-in states about its metric, for pages and sentences."""
    _plugins[metric.name] = metric


def find(name: str) -> Metric | None:
    """Return what is known about a metric, built in or of a plug-in that was measured."""
    return METRICS.get(name) or _plugins.get(name)


def modules() -> list[str]:
    """Return the modules that measure, in the order of the table."""
    return list(dict.fromkeys(metric.module for metric in METRICS.values()))


def compared() -> list[tuple[Metric, Compared]]:
    """Return the metrics that methods are compared by, in the order of the page."""
    return [(metric, metric.compared) for metric in METRICS.values() if metric.compared]


def comparison_columns() -> tuple[Column, ...]:
    """Return the columns of the table `comparison`, in order."""
    with_intervals = (
        Column(column.name + end, pl.Float64, text)
        for _, column in compared()
        if column.interval
        for end, text in (
            ("", column.says),
            ("_low", f"Lower end of the 95% interval of {column.name}."),
            ("_high", f"Upper end of the 95% interval of {column.name}."),
        )
    )
    return (
        Column("base", pl.String, "The task that the group extends."),
        Column("task", pl.String, "The task, which is the partition."),
        Column("recipe", pl.String, "The method that made the rows."),
        Column("made", pl.Boolean, "Whether the task has a report; without one, figures are null."),
        Column("rows", pl.Int64, "Rows of the corrected set."),
        *(Column(c.name, pl.Float64, c.says) for _, c in compared() if not c.interval),
        Column("words", pl.Int64, "Word count for distinct-n, the same for the whole group."),
        Column("compared_rows", pl.Int64, "Number of rows that self-BLEU compares."),
        Column("shortcut_part", pl.String, "The part of the input that best predicts the label."),
        *with_intervals,
    )


register_metrics(METRICS)
