"""The guards: what each finds in a text, and what it leaves alone."""

import time
from typing import Any

import pytest

from targen.prompts.render import render
from targen.steps import REASONS as KNOWN_REASONS
from targen.tasks.guards import REASONS, Fault, fault, label_texts
from targen.tasks.spec import TaskSpec
from tests.support.specs import MOOD, real_task, spec_of

PREMISE = (
    "The town council of Ferrol voted on Tuesday to close the old fish market, which has stood by "
    "the harbor since 1923. Traders have until March to move to the new hall."
)
TICKET = (
    "Since this morning the invoices of our branch in Porto show the wrong tax rate. We have sent "
    "thirty of them already. Could somebody look at it before noon?"
)


def found(text: Any, task: str = "rte", field: str = "premise") -> Fault | None:
    """Return the fault of one text as an operator looks for it."""
    spec = real_task(task)
    return look(spec, {field: text})


def look(spec: TaskSpec, values: dict[str, Any]) -> Fault | None:
    shown = [example.fields for example in spec.examples]
    return fault(values, spec, label_texts(spec), shown, spec.labels)


def reason(*args: Any, **kwargs: Any) -> str | None:
    one = found(*args, **kwargs)
    return None if one is None else one.reason


def test_every_guard_has_a_rejection_reason() -> None:
    assert set(KNOWN_REASONS) >= REASONS == {
        "echo", "meta", "loop", "refusal", "language", "unfinished", "guard"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        ("rte", "premise", PREMISE),
        ("rte", "premise", "The hypothesis was first tested by Ramón y Cajal in 1888."),
        ("rte", "premise", "Critics reject the premise that growth follows from lower taxes."),
        ("rte", "hypothesis", "The old market of Ferrol will close."),
        ("rte", "premise", "“I'm sorry, but I can't vote for this,” said Lopez on Monday."),
        ("rte", "premise", "The minister said [the treaty] would enter into force in May."),
        ("ticket_urgency", "body", TICKET),
        ("ticket_urgency", "body", "I'm sorry to bother you, but I can't log in to the shop."),
        ("ticket_urgency", "body", "Sorry, I can't create an invoice since the update of Monday."),
        (
            "ticket_urgency",
            "body",
            "The label printer prints every label twice. The label is torn.",
        ),
        ("ticket_urgency", "body", "Our stock is low and the high shelf is empty. That is normal."),
        ("ticket_urgency", "body", f"{TICKET}\n\nBest regards,\nMaria Silva"),
        ("ticket_urgency", "body", f"{TICKET} Kind regards from sunny Faro, Ana Costa"),
        ("ticket_urgency", "subject", "Wrong tax rate on the invoices of our"[:29]),
        ("sentiment", "review", "A positive surprise: the kettle boils in two minutes."),
        ("sentiment", "review", "- boils fast\n- no smell\n- cord too short"),
        ("sentiment", "review", "Very, very, very good. I use it every day."),
        ("sentiment", "review", "THE HANDLE BROKE AFTER TWO DAYS. NEVER AGAIN."),
        ("boolq", "question", "is it a true story or a myth"),
        ("boolq", "question", "what is the bridge in lisbon made of"),
        ("creak", "claim", "The answer to life is forty-two in a novel by Adams."),
        ("wic", "word", "none"),
        ("record", "entities", ["Ingrid Whitfield", "Foxcote Comets", "Tomás O’Brien", "Łódź"]),
        (
            "stories",
            "story",
            "Run! cried Tim. Run! cried Mia. And they ran to the sea.\n\nThe end.",
        ),
    ],
)
def test_content_passes(task: str, field: str, text: Any) -> None:
    assert found(text, task, field) is None


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        # As seen with a small model: the constraint of the label.
        (
            "ticket_urgency",
            "body",
            "I cannot print. There is damage that goes on while the ticket is being written.",
        ),
        ("ticket_urgency", "body", "Two to five sentences, in the words of the customer."),
        ("ticket_urgency", "subject", "Write a subject line of at most ten words"),
        ("ticket_urgency", "subject", "Urgency of Support Tickets"),
        ("sentiment", "review", "the review in the first person, as the customer"),
        ("rte", "premise", "One to three sentences of informative prose about geysers."),
        (
            "record",
            "entities",
            ["Lisbon", "the people, places and organizations that the passage names"],
        ),
    ],
)
def test_echoes_of_the_prompt(task: str, field: str, text: Any) -> None:
    assert reason(text, task, field) == "echo"


def test_descriptions_are_echoes_in_any_form() -> None:
    spec = real_task("ticket_urgency")
    (name, field), *_ = spec.fields.items()
    assert look(spec, {name: f"  {field.description.upper()}. "}) is not None
    assert look(spec, {name: [f"Here it is: {spec.description}"]}) is not None
    six = ["three sentences of prose on geysers"]
    assert fault({name: f"These are three sentences of prose on geysers {name}."}, spec, six)
    assert fault({name: "Geysers are the subject of my prose."}, spec, six) is None


def test_what_is_only_in_one_prompt_is_an_echo_of_that_prompt_alone() -> None:
    spec = real_task("rte")
    asked = "Write about one branch of trade, with two numbers in every single sentence."
    near = {"premise": "Write on one branch of trade, using two numbers in every sentence."}
    assert fault(near, spec, [asked]) == Fault(
        "echo", "premise: has a sentence that is nearly one of the prompt"
    )
    assert fault(near, spec) is None


UNSET = ("about", "rationale", "named", "choices", "context", "typed", "anchors", "undecided")
SETTINGS = {"keys": ("label", "way"), "texts": "pair", **dict.fromkeys(UNSET, False)}


def test_the_instructions_of_every_template_are_echoes_but_news_is_not() -> None:
    spec = real_task("rte")
    for name in ("instances/label_constrained.md", "seeds/llm_per_context.md"):
        template = render(name, **SETTINGS)
        sentences = [part for part in template.split(". ") if len(part.split()) > 8]
        assert len(sentences) >= 3
        for sentence in sentences:
            echoed = fault({"premise": sentence}, spec, [template])
            assert echoed is not None and echoed.reason in ("echo", "meta", "unfinished")
        assert fault({"premise": PREMISE}, spec, [template]) is None


def test_a_human_example_never_comes_back() -> None:
    spec = real_task("creak")
    example = spec.examples[0].fields
    text = example["claim"]
    assert look(spec, dict(example)) == Fault("echo", "the row is an example of the prompt")
    assert look(spec, {"claim": text.upper()}) is not None
    words = text.split()
    near = " ".join([*words[:-1], "depths."])
    assert look(spec, {"claim": near}) is not None
    assert look(spec, {"claim": "A visitor to the Louvre can see a portrait by Leonardo."}) is None


def test_short_examples_are_compared_as_whole_rows() -> None:
    spec = real_task("copa")
    shown = [{"choice1": "He fell asleep.", "choice2": "The bus was late."}]
    again = {"choice1": "He fell asleep.", "choice2": "The bus was late!"}
    assert fault(again, spec, (), shown) == Fault("echo", "the row is an example of the prompt")
    assert fault({**again, "choice2": "The rain stopped."}, spec, (), shown) is None


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        ("rte", "premise", "The hypothesis is that bacteria cause the corrosion of pipes."),
        ("rte", "hypothesis", "The premise states that the market closes."),
        ("rte", "hypothesis", "This is not_entailment since the market stays."),
        ("rte", "hypothesis", "The market will close. Label: entailment"),
        ("rte", "hypothesis", "Hypothesis: The market will close."),
        ("rte", "hypothesis", '{"hypothesis": "The market will close."}'),
        ("rte", "hypothesis", "```json\nThe market will close.\n```"),
        ("rte", "premise", "The market will close, but as an AI language model I have no view."),
        ("rte", "premise", "Here is an example of a premise about fish markets."),
        ("rte", "premise", "Sure, here's a text on markets: the council closed one."),
        ("rte", "premise", "Lorem ipsum dolor sit amet."),
        ("rte", "premise", "The market will close.<|im_end|>"),
        ("rte", "premise", "<p>The market of Ferrol will close.</p>"),
        ("rte", "premise", "..."),
        ("rte", "premise", "N/A"),
        ("sentiment", "review", "This review is negative."),
        ("sentiment", "review", "The review is classified as positive, as the kettle works."),
        ("sentiment", "review", "The kettle works. Sentiment: positive"),
        ("sentiment", "review", "Great kettle! (label: positive)"),
        ("ticket_urgency", "body", "Dear [Company Name], my order number is [Order Number]."),
        ("ticket_urgency", "body", "Hello {{name}}, the till is broken."),
        ("ticket_urgency", "body", "The ticket should be labeled as high because the till broke."),
        ("boolq", "passage", "This passage contains two to six sentences on rivers."),
        ("stories", "story", 'The story uses the noun "jewel" and the verb "melt", in any form.'),
    ],
)
def test_talk_about_the_task(task: str, field: str, text: str) -> None:
    assert reason(text, task, field) == "meta"


def test_code_may_contain_markup_and_braces() -> None:
    spec = real_task("textbook-python")
    assert (
        look(spec, {"snippets": ['print("<p>{{name}}</p>")', "# overview:\nx = {'a': 1}"]}) is None
    )
    assert look(spec, {"overview": "It is this: ```python\nx = 1\n```"}) is not None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, but I cannot create content about this person.",
        "I cannot fulfill this request.",
        "Sorry, I am unable to generate a text of this kind.",
        "As an AI, I do not have opinions.",
        "Es tut mir leid, aber ich kann diesen Text nicht erstellen.",
        "Je suis désolé, mais je ne peux pas vous aider.",
    ],
)
def test_refusals(text: str) -> None:
    assert reason(text, "ticket_urgency", "body") == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "The kettle is good. " * 4,
        "I bought it for my mother and she likes it and she likes it and she likes it.",
        "It works well in the kitchen. I like it. It works well in the kitchen.",
        "good good good good good good good good good good",
        "It is sooooooooooooooooooooooooooooooo good.",
        "hahahahahahahahahahahahahahahahaha",
        " ".join(f"The pan of model {n} is a very good pan for the price." for n in range(9)),
    ],
)
def test_loops(text: str) -> None:
    assert reason(text, "sentiment", "review") == "loop"


def test_a_loop_is_found_in_a_language_without_spaces(tmp_path) -> None:
    spec = spec_of(tmp_path / "tasks", MOOD.replace("rows: 8", "rows: 8\nlanguage: zh"))
    once = "今天早上我去了市场买了一些新鲜的蔬菜和水果然后回家给孩子们做了一顿丰盛的午餐"
    assert look(spec, {"note": once + "。"}) is None
    assert look(spec, {"note": once * 12}).reason == "loop"


LANGUAGES = {
    "en": "The council closed the old market on Tuesday, and the traders have to leave by March.",
    "de": "Der Rat hat am Dienstag den alten Markt geschlossen, und die Händler müssen bis März "
    "weichen.",
    "fr": "Le conseil a fermé mardi le vieux marché, et les commerçants doivent partir avant mars.",
    "es": "El consejo cerró el martes el viejo mercado y los comerciantes deben salir en marzo.",
    "it": "Il consiglio ha chiuso martedì il vecchio mercato e i commercianti devono andarsene.",
    "nl": "De raad heeft dinsdag de oude markt gesloten en de handelaren moeten in maart weg zijn.",
    "pl": "Rada zamknęła we wtorek stary rynek, a kupcy muszą się wyprowadzić do marca.",
    "ru": "Совет закрыл во вторник старый рынок, и торговцы должны уйти до марта.",
    "zh": "市议会周二关闭了旧市场,商贩们必须在三月之前搬离这里。",
    "ja": "市議会は火曜日に古い市場を閉鎖し、商人たちは三月までに移転しなければならない。",
}


@pytest.mark.parametrize("written", LANGUAGES)
@pytest.mark.parametrize("asked", ["en", "de", "ru", "ja"])
def test_languages(written: str, asked: str, tmp_path) -> None:
    text = MOOD.replace("rows: 8", f"rows: 8\nlanguage: {asked}")
    one = look(spec_of(tmp_path / "tasks", text), {"note": LANGUAGES[written]})
    assert (one and one.reason) == (None if asked == written else "language")


def test_names_and_foreign_words_are_no_other_language() -> None:
    for text in (
        "Jürgen Müller and Łukasz Żak met Søren Ågård in Åbenrå, Málaga and Besançon.",
        "The word for it in Kyoto (京都) is mottainai, in Berlin Nachhaltigkeit.",
        "Real Sociedad beat Deportivo Alavés 2-1 at Anoeta; Mikel Oyarzabal scored both goals.",
    ):
        assert found(text) is None


@pytest.mark.parametrize(
    ("task", "field", "text"),
    [
        ("rte", "premise", "The council of Ferrol voted on Tuesday to close the"),
        ("rte", "premise", "The council of Ferrol voted on Tuesday,"),
        ("rte", "premise", "The council of Ferrol voted on Tuesday to close the market by the har"),
        ("rte", "hypothesis", "The old market is in"),
        ("ticket_urgency", "body", TICKET[:120]),
        ("boolq", "passage", "Rivers carry water. The longest river of the country flows north-"),
        ("boolq", "question", "is the longest river of portugal also the"),
    ],
)
def test_texts_that_are_cut_off(task: str, field: str, text: str) -> None:
    assert reason(text, task, field) == "unfinished"


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("echo_words: off, echo_similarity: off", "A short note and the mood of the person."),
        ("meta: off", "Label: glad. I have a new bicycle."),
        ("loop: off", "good good good good good good good good good good."),
        ("refusal: off", "I cannot fulfill this request."),
        ("language: off", LANGUAGES["pl"]),
        ("unfinished: off", "I have a new bicycle. It is red and I like the"),
    ],
)
def test_each_guard_can_be_switched_off(setting: str, text: str, tmp_path) -> None:
    on = spec_of(tmp_path / "on", MOOD)
    off = spec_of(tmp_path / "off", f"{MOOD}guards: {{{setting}}}\n")
    assert look(on, {"note": text}) is not None
    assert look(off, {"note": text}) is None


def test_thresholds_can_be_set(tmp_path) -> None:
    strict = spec_of(tmp_path / "a", f"{MOOD}guards: {{echo_words: 4, loop: 0.01}}\n")
    usual = spec_of(tmp_path / "b", MOOD)
    short = {"note": "Today the mood of the person next to me was grim."}
    assert look(usual, short) is None
    assert look(strict, short) == Fault(
        "echo", "note: has 4 words in a row in common with the prompt"
    )


def test_rows_are_checked_fast() -> None:
    """The limit is five times the usual time, because other processes may be running."""
    spec = real_task("rte")
    prompt = render("instances/label_constrained.md", **SETTINGS)
    asked = [prompt, *label_texts(spec)]
    row = {"premise": PREMISE, "hypothesis": "The old market of Ferrol will close."}
    fastest = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(200):
            assert fault(row, spec, asked, (), spec.labels) is None
        fastest.append(time.process_time() - start)
    assert min(fastest) / 200 < 1e-3


def test_a_label_alone_and_a_dangling_possessive_are_no_content() -> None:
    tickets = real_task("ticket_urgency")
    assert look(tickets, {"subject": "Low"}) == Fault("meta", "subject: is the name of a label")
    assert look(tickets, {"subject": "Low battery after one hour"}) is None
    cut = look(tickets, {"body": "A customer notices a product's"})
    assert cut is not None and cut.reason == "unfinished"


def test_a_field_that_repeats_another_is_an_echo() -> None:
    spec = real_task("cb")
    text = "Solène says that the bridge in Leeds is closed."
    again = {"premise": text, "hypothesis": text.upper().rstrip(".")}
    assert fault(again, spec) == Fault("echo", "hypothesis: repeats premise")
    assert fault(again | {"hypothesis": "The bridge in Leeds is closed."}, spec) is None
    short = {"premise": "Yes, they are.", "hypothesis": "yes they are"}
    assert fault(short, spec) is None, "short texts may be equal"
    off = spec.model_copy(update={"guards": spec.guards.model_copy(update={"echo_words": "off"})})
    assert fault(again, off) is None
