"""The invented world: countries, the people who live there, and its creatures.

Names are drawn from syllables that are each one GPT-2 token, so that a name costs two tokens of pretraining.
"""

import random

from textbook.facts import Fact, word_list

COUNTRIES = 130
PEOPLE = 70

COUNTRY_STARTS = word_list("""Bel Bor Cal Dal Dar Dor Fal Gal Gor Hal Jal Kal Kel Lor Lun Mal Mel Mir Nar Nor Or Pal
    Pel Ral Sal Sar Sel Sor Tal Tor Tur Val Var Vel Vol Yor Zan Zar Zel Zen""")
COUNTRY_ENDS = word_list("ia ora una aria ara ania ova oria ura ina istan avia")
TAKEN_NAMES = set(
    word_list(
        """Dalia Daria Doria Galia Kalina Malaria Maldina Malia Malina Marina Melania Melia Melina Norova Oria Orina
        Selina Talia Tania Toria Zania Zara Zaria"""
    )
)
"""What a country must not be called: people, places and things that have these names."""

CAPITAL_STARTS = word_list("""Bran Cor Dan Del Fen Gar Har Hel Kar Kor Lan Lar Lem Mar Mer Mor Nav Nel Ol Per Pol Ram
    Ran Rom Ros Sam San Sol Syl Tan Tar Tel Ul Van Ven Ver Vir Wal Wel Wil""")
CAPITAL_ENDS = word_list("ton burg port ville haven wick holm ham stone well wood bury")
REAL_TOWNS = set(word_list("Danton Hamburg Harburg Merburg Merton Milton Morton Roswell Walton Welham Wilton Selwood"))

ANIMALS = word_list("""otter badger eagle lion tiger wolf bear fox owl hawk swan goose crane stork heron raven robin
    parrot penguin seal whale dolphin shark turtle lizard snake frog toad spider beetle bee ant butterfly camel horse
    donkey goat sheep bull deer elk moose rabbit hare squirrel mouse rat bat monkey gorilla elephant giraffe zebra
    leopard panther crab lobster salmon falcon pigeon""")
COLOURS = word_list("""red blue green yellow orange purple pink brown black white grey gold silver crimson scarlet
    violet indigo turquoise teal maroon beige ivory amber olive coral peach bronze copper cream navy""")
FOODS = word_list("""rice bread cheese honey butter plums apples pears cherries grapes figs dates lemons oranges
    bananas melons beans peas lentils carrots onions potatoes tomatoes cabbage spinach garlic mushrooms olives nuts
    almonds soup noodles pancakes dumplings sausages ham bacon eggs trout shrimp yogurt chocolate biscuits cake
    porridge corn pumpkins radishes peppers berries""")

FIRST_NAMES = word_list("""Anna Peter Maria David Clara Simon Laura Martin Julia Thomas Emma Oscar Alice Victor Helen
    Arthur Rosa Felix Nina Hugo Diana Leo Sarah Max Eva Paul Lucy Adam Grace Frank Ruth Henry Irene Jack Kate Luke
    Nora Oliver Sophie Walter""")
FAMOUS_PEOPLE = {"Adam West", "Emma Stone", "Oliver Stone"}
LAST_NAMES = word_list("""Stone Brook Hill Reed Fox Wood Field Rivers Lake Marsh North West Banks Bird Bell Cross
    Winter Summer Frost Snow Swift Sharp Short Long Young Little Rose Moss Ash Lane""")
JOBS = word_list("""baker teacher doctor farmer painter singer dancer writer nurse lawyer pilot sailor soldier judge
    barber butcher tailor carpenter plumber miner fisherman gardener hunter cook waiter driver mechanic engineer
    chemist dentist librarian jeweller clown actor weaver potter shepherd blacksmith banker detective""")
COLLECTIONS = word_list("""stamps coins shells buttons bottles hats clocks maps masks dolls spoons keys feathers
    stones books posters puppets candles lamps kites marbles ribbons rings knives baskets plates cups flutes drums
    bells magnets postcards photographs thimbles teapots umbrellas boxes pens paintings rugs""")

CREATURES = word_list("""tarl zop vark mool fripp snell dorb plim quarn trusk kessel lomp norf drell spog glent brool
    crimp varn thool blim grook yarl slont prake frump zell krell morp wint splune gribble harn jolk klim lurb nurt
    osk parl quib""")
HOMES = word_list("""caves swamps deserts forests rivers lakes meadows mountains cliffs islands gardens barns cellars
    tunnels hedges ponds jungles valleys hills ruins wells attics marshes dunes reefs orchards chimneys haystacks
    canyons bogs""")


def invented_facts(seed: int) -> list[Fact]:
    """Draw the invented world: capital, animal, colour and food of countries; jobs, collections; creatures."""
    rng = random.Random(f"invented {seed}")
    return [*_countries(rng), *_people(rng), *_creatures(rng)]


def _names(rng: random.Random, starts: list[str], ends: list[str], taken: set[str], count: int) -> list[str]:
    names = [start + end for start in starts for end in ends if start + end not in taken]
    return rng.sample(names, count)


def _values(rng: random.Random, words: list[str], count: int) -> list[str]:
    """Return `count` words, each used (nearly) equally often, so that no answer is a good guess."""
    values: list[str] = []
    while len(values) < count:
        values += rng.sample(words, len(words))
    return values[:count]


def _countries(rng: random.Random) -> list[Fact]:
    names = _names(rng, COUNTRY_STARTS, COUNTRY_ENDS, TAKEN_NAMES, COUNTRIES)
    values = {
        "capital": _names(rng, CAPITAL_STARTS, CAPITAL_ENDS, REAL_TOWNS, COUNTRIES),
        "national animal": _values(rng, ANIMALS, COUNTRIES),
        "flag colour": _values(rng, COLOURS, COUNTRIES),
        "favourite food": _values(rng, FOODS, COUNTRIES),
    }
    return [
        Fact(family, "invented", name, value, group=name)
        for family, column in values.items()
        for name, value in zip(names, column, strict=True)
    ]


def _people(rng: random.Random) -> list[Fact]:
    names = rng.sample(sorted({f"{a} {b}" for a in FIRST_NAMES for b in LAST_NAMES} - FAMOUS_PEOPLE), PEOPLE)
    values = {"job": _values(rng, JOBS, PEOPLE), "collection": _values(rng, COLLECTIONS, PEOPLE)}
    return [
        Fact(family, "invented", name, value, group=name)
        for family, column in values.items()
        for name, value in zip(names, column, strict=True)
    ]


def _creatures(rng: random.Random) -> list[Fact]:
    values = {
        "creature's food": _values(rng, FOODS, len(CREATURES)),
        "creature's home": _values(rng, HOMES, len(CREATURES)),
    }
    return [
        Fact(family, "invented", name, value, group=name)
        for family, column in values.items()
        for name, value in zip(CREATURES, column, strict=True)
    ]
