"""Small word lists: who and what is spoken of."""

from collections.abc import Mapping
from typing import Final

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
"""Written with capitals only: turkey is a bird."""

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
"""Type -> its groups, and whether case matters."""
