"""Anchors: names, places, dates and amounts drawn by code for the seeds of a data set.

Language models use a few favorite names and numbers again and again. Each seed is therefore offered
some that were drawn from lists of many regions. The lists are this project's own.
"""

from functools import cache
from random import Random
from typing import Final

from targen.hashing import rng
from targen.tasks.guards.written import words
from targen.tasks.sections import ENGLISH

PER_SEED: Final = 2
"""Kinds of anchors per seed: few cost fewer tokens, and not every text has all of them."""

_REGIONS: Final[tuple[tuple[str, str, str], ...]] = (
    # given names; family names; places
    (
        "Olivia Harry Megan Callum Fiona Rhys Imogen Declan Niamh Gareth",
        "Ashworth Campbell Pritchard Gallagher Whitlock Mackenzie Reid Thornton Byrne Hughes",
        "Leeds/Galway/Swansea/Inverness/Norwich/Dundalk",
    ),
    (
        "Tyrone Brooke Dwayne Maribel Caleb Shanice Wyatt Noelle Travis Denise",
        "Hollister Washington Begay Lindqvist Boudreaux Kowalczyk Ramirez Prescott Tran Delgado",
        "Duluth/Baton Rouge/Spokane/Halifax/El Paso/Winnipeg",
    ),
    (
        "Camila Mateo Ximena Thiago Valentina Joaquín Luciana Rodrigo Renata Emilio",
        "Quispe Fuentes Cárdenas Mamani Rojas Villalobos Escobar Paredes Zúñiga Ibarra",
        "Arequipa/Valparaíso/Medellín/Puebla/Rosario/Cuenca",
    ),
    (
        "Thaís Otávio Iara Caio Lívia Murilo Yasmin Raul Jussara Davi",
        "Nogueira Cavalcanti Bittencourt Peixoto Moura Siqueira Teixeira Amaral Brandão Pinheiro",
        "Recife/Curitiba/Belém/Braga/Maputo/Manaus",
    ),
    (
        "Elodie Bastien Margaux Thibault Solène Quentin Maëlle Yannick Anouk Florian",
        "Lefebvre Vandenberghe Marchand Rousselot Claes Favre Delacroix Pelletier Janssens Monnier",
        "Lille/Ghent/Lausanne/Rennes/Liège/Sherbrooke",
    ),
    (
        "Katrin Leopold Anneliese Benedikt Ronja Matthis Frauke Severin Ilse Torben",
        "Achterberg Hofstetter Krämer Lindner Obermeier Petersen Riedl Schuster Wyss Zollinger",
        "Graz/Rostock/Winterthur/Augsburg/Groningen/Bremerhaven",
    ),
    (
        "Sigrid Eskil Aino Tuomas Ragnhild Anders Freyja Mikkel Liisa Oskar",
        "Halvorsen Lindholm Korhonen Sørensen Hansdóttir Nyström Rasmussen Tamm Virtanen Dahl",
        "Tromsø/Turku/Aarhus/Akureyri/Tartu/Umeå",
    ),
    (
        "Ludovica Tommaso Inés Iker Ginevra Vasco Eleni Stavros Montserrat Dario",
        "Bianchini Etxeberria Papadakis Caruana Ferrante Agirre Moretti Vlahos Puig Sartori",
        "Trieste/Bilbao/Patras/Valletta/Matera/Girona",
    ),
    (
        "Zuzana Kacper Ilona Bogdan Milica Andrei Vesna László Oksana Tihomir",
        "Wiśniewska Horváth Dragomir Kovačević Shevchenko Novotný Petrov Balogh Ivanova Zieliński",
        "Lublin/Debrecen/Cluj/Novi Sad/Lviv/Plovdiv",
    ),
    (
        "Aylin Emre Nasrin Farhad Levan Tamar Kerem Shirin Anahit Rustam",
        "Yıldız Karimova Hosseini Beridze Sargsyan Demir Nazari Aliyev Öztürk Rahmani",
        "Izmir/Tabriz/Batumi/Gyumri/Samarkand/Bursa",
    ),
    (
        "Layla Yousef Hiba Tariq Salma Idris Noura Khalil Rania Anwar",
        "Haddad Benali El-Masri Khoury Mansour Al-Harthy Zeroual Nasser Sabbagh Boutros",
        "Amman/Oran/Alexandria/Muscat/Sfax/Agadir",
    ),
    (
        "Adaeze Kwame Fatou Chidi Aminata Kofi Ngozi Mamadou Abena Sekou",
        "Okonkwo Mensah Diallo Adeyemi Traoré Boateng Ndiaye Eze Kouassi Sarpong",
        "Kumasi/Ibadan/Saint-Louis/Bamako/Abidjan/Enugu",
    ),
    (
        "Wanjiru Tendai Zanele Hailu Nomsa Baraka Aster Sipho Achieng Lerato",
        "Kamau Mutasa Dlamini Tesfaye Nkosi Mwangi Banda Moyo Otieno Bekele",
        "Mombasa/Bulawayo/Durban/Arusha/Bahir Dar/Kigali",
    ),
    (
        "Anjali Rohan Nusrat Imran Dilini Prakash Meera Arjun Sanjida Kusum",
        "Chatterjee Perera Iyer Siddiqui Gurung Deshmukh Rahman Bandara Kulkarni Thapa",
        "Pune/Kandy/Sylhet/Kochi/Lahore/Pokhara",
    ),
    (
        "Meilin Haruto Jiho Yifan Sakura Minseo Wenjie Ayaka Taeyang Batu",
        "Nakamura Zhang Hwang Fujiwara Liang Kwon Ganbold Ishikawa Hsieh Shimizu",
        "Nagoya/Chengdu/Daegu/Tainan/Sapporo/Xiamen",
    ),
    (
        "Linh Wayan Marisol Somchai Putri Aroha Quang Jovelyn Tevita Dewi",
        "Nguyen Santoso Magsaysay Srisuk Tamihana Wibowo Fonua Bautista Pham Lim",
        "Cebu/Surabaya/Da Nang/Chiang Mai/Dunedin/Suva",
    ),
)

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_AMOUNTS: Final[tuple[tuple[str, int, int], ...]] = (
    ("percent", 2, 90),
    ("euros", 20, 60_000),
    ("dollars", 20, 900_000),
    ("minutes", 3, 50),
    ("kilometers", 2, 800),
    ("tons", 2, 5_000),
    ("people", 5, 20_000),
)
"""Unit, smallest and greatest amount."""


def given_names() -> tuple[str, ...]:
    """Return all given names."""
    return tuple(name for given, _, _ in _REGIONS for name in given.split())


def family_names() -> tuple[str, ...]:
    """Return all family names."""
    return tuple(name for _, family, _ in _REGIONS for name in family.split())


def places() -> tuple[str, ...]:
    """Return all places."""
    return tuple(name for _, _, places in _REGIONS for name in places.split("/"))


def without_names(text: str) -> list[str]:
    """Return the words of a text, case-folded, without those of the lists' names and places."""
    return [word for word in words(text) if word not in _words_of_names()]


@cache
def _words_of_names() -> frozenset[str]:
    return frozenset(words(" ".join((*given_names(), *family_names(), *places()))))


def drawn_name(random: Random) -> str:
    """Return a given name and a family name of one region."""
    given, family, _ = random.choice(_REGIONS)
    return f"{random.choice(given.split())} {random.choice(family.split())}"


def _place(random: Random) -> str:
    return random.choice(random.choice(_REGIONS)[2].split("/"))


def _date(random: Random) -> str:
    month = random.choice(_MONTHS)
    return random.choice((month, f"{random.randint(1, 28)} {month}"))


def _amount(random: Random) -> str:
    unit, least, most = random.choice(_AMOUNTS)
    # Log-uniform: as many amounts between 10 and 100 as between 100 and 1,000.
    return f"{round(least * (most / least) ** random.random()):,} {unit}"


_KINDS: Final = {"name": drawn_name, "place": _place, "date": _date, "amount": _amount}
_ANY_LANGUAGE: Final = ("name", "place")


def anchors(
    edition: int, context_id: str | None, number: int, language: str = ENGLISH
) -> dict[str, str]:
    """Return the anchors of one seed, kind -> value.

    The kinds are name, place, date and amount; for languages other than English only name and
    place, which need no translation.

    Args:
        edition: the task's.
        context_id: the seed's context; None without contexts.
        number: of the seed in its context, from 0.
        language: ISO 639-1 code of the task.
    """
    random = rng("anchors", edition, context_id, number)
    kinds = list(_KINDS) if language == ENGLISH else list(_ANY_LANGUAGE)
    drawn = sorted(random.sample(kinds, PER_SEED), key=kinds.index)
    return {kind: _KINDS[kind](random) for kind in drawn}
