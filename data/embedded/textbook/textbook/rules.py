"""Families that follow rules: word forms, numbers, orders, sentence forms, sentiment."""

import random
from itertools import pairwise

from textbook.facts import Fact, word_list

REGULAR_NOUNS = word_list("""cat dog house tree book table chair apple car boat bird shoe hat pen cup plate fork
    spoon door window garden river road bridge school teacher farmer baker king queen flower cloud star hill lake
    forest bear lion horse rabbit duck pig cow box fox bus glass dress watch church bench beach brush dish bush class
    peach match branch sandwich lunch kiss boss tax wish coach inch baby city lady party story country family puppy
    pony cherry berry army copy enemy factory fairy library lily penny body spy sky fly diary hobby jelly key monkey
    donkey toy day boy tray valley turkey kidney chimney journey potato tomato hero echo radio piano photo zoo video
    egg nut hand arm leg head nose ear finger friend sister brother letter word song game ball kite lamp clock map
    coin ring shirt coat sock button pocket basket bottle candle carpet pillow blanket hammer nail ladder rope wheel
    train truck ship plane rocket planet island mountain valley desert storm shadow""")
IRREGULAR_NOUNS = dict(
    pair.split("/")
    for pair in word_list("""man/men woman/women child/children foot/feet tooth/teeth goose/geese mouse/mice
        louse/lice ox/oxen person/people leaf/leaves knife/knives wife/wives life/lives wolf/wolves shelf/shelves
        half/halves thief/thieves loaf/loaves calf/calves scarf/scarves elf/elves hoof/hooves sheep/sheep deer/deer
        fish/fish salmon/salmon series/series cactus/cacti fungus/fungi crisis/crises oasis/oases""")
)

REGULAR_VERBS = word_list("""walk talk jump play work help look call ask clean open close paint plant push pull wash
    watch want wait laugh cook climb count dance dream fill fold follow guess hope hunt join jog kick kiss knock land
    learn lift like listen live lock love mend mix move need pack pass phone pick point pour pray press print race
    rain reach rest roll rush sail save scream share shout show skate smell smile smoke snow sneeze start stay study
    carry cry try hurry marry worry copy stop plan drop hop clap hug nod beg rub shop slip step trip grab""")
DOUBLED = set(word_list("stop plan drop hop clap hug nod beg rub shop slip step trip grab jog"))
IRREGULAR_VERBS = dict(
    pair.split("/")
    for pair in word_list("""go/went come/came see/saw eat/ate drink/drank sing/sang swim/swam run/ran begin/began
        ring/rang sink/sank sit/sat give/gave take/took make/made write/wrote ride/rode drive/drove rise/rose
        speak/spoke break/broke steal/stole freeze/froze choose/chose wake/woke wear/wore tear/tore bear/bore
        swear/swore get/got forget/forgot win/won dig/dug stick/stuck hang/hung spin/spun shine/shone find/found
        bind/bound grind/ground fight/fought think/thought bring/brought buy/bought catch/caught teach/taught
        seek/sought keep/kept sleep/slept weep/wept sweep/swept creep/crept feel/felt kneel/knelt leave/left meet/met
        lead/led feed/fed bleed/bled read/read hold/held stand/stood understand/understood lose/lost shoot/shot
        sell/sold tell/told say/said pay/paid lay/laid hear/heard have/had do/did know/knew grow/grew
        blow/blew throw/threw fly/flew draw/drew fall/fell hide/hid bite/bit light/lit slide/slid build/built
        send/sent spend/spent bend/bent lend/lent cut/cut put/put hit/hit hurt/hurt let/let shut/shut cost/cost
        set/set become/became shake/shook""")
)

ADJECTIVES = word_list("""small tall short long old young cold warm cool fast slow hard soft high low loud quiet
    clean dark light strong weak sweet sour narrow thick deep near rich poor cheap smooth rough sharp blunt kind
    proud calm fresh green bright broad bold clear dear fair firm grand great harsh keen mild neat new plain pure
    quick rare sick slim smart stiff strange sweet tight tough wild wise late large nice safe brave close cute fine
    huge pale polite ripe rude simple true happy easy early busy dirty dry funny heavy angry hungry pretty lazy lucky
    noisy tidy ugly silly sunny windy big hot wet thin fat sad red""")
IRREGULAR_ADJECTIVES = {"good": "better", "bad": "worse", "far": "farther", "little": "less", "many": "more"}
DOUBLED_ADJECTIVES = {"big", "hot", "wet", "thin", "fat", "sad", "red"}

ONES = word_list("""zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen""")
TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")

ORDINALS = word_list("""first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth
    fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth""")
ORDINAL_TENS = word_list("thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth")

DAYS = word_list("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = word_list("January February March April May June July August September October November December")
LETTERS = word_list("A B C D E F G H I J K L M N O P Q R S T U V W X Y Z")

SPELLED = word_list("""cat dog sun hat pen cup box bed car bus map net pig hen fox ant bee cow egg fan jam key leg
    mud nut owl pot rat sea tea van web zoo arm bag cap day ear fig gem hut ice jar kid log man nap oak pan rug sky
    toy wax yak bird book door fish frog girl hand king lamp moon nest park ring ship star tree wind wolf""")

AGENTS = word_list("""girl boy farmer teacher baker doctor king queen nurse painter sailor cook gardener artist
    mother father driver singer pilot child""")
DEEDS = """paint/paints/painted/painted fence,wall,door,boat|clean/cleans/cleaned/cleaned window,kitchen,floor,plate|
    carry/carries/carried/carried basket,box,chair,bucket|open/opens/opened/opened gate,letter,window,bottle|
    wash/washes/washed/washed car,shirt,dog,cup|cook/cooks/cooked/cooked soup,fish,dinner,rice|
    write/writes/wrote/written letter,story,song,book|eat/eats/ate/eaten apple,cake,bread,egg|
    drive/drives/drove/driven bus,truck,car,tractor|break/breaks/broke/broken glass,plate,stick,clock|
    find/finds/found/found coin,key,ring,map|sell/sells/sold/sold horse,house,bike,carpet|
    build/builds/built/built tower,bridge,barn,shed|draw/draws/drew/drawn picture,house,tree,line|
    hide/hides/hid/hidden treasure,gift,bone,key|take/takes/took/taken photo,pencil,train,hat"""
SENTENCE_GROUPS = 70

THINGS = word_list("""soup cake film book song hotel dinner concert holiday show garden teacher game story picnic
    party speech room play meal""")
MOODS = {
    "positive": word_list("""delicious wonderful excellent lovely fantastic brilliant perfect charming delightful
        superb amazing great"""),
    "negative": word_list("""terrible awful boring horrible dreadful disgusting disappointing poor miserable dull nasty
        ghastly"""),
}
SENTIMENTS_PER_THING = 6


def rule_facts(seed: int) -> list[Fact]:
    """Return the rule-like families; sentences and sentiments are sampled with `seed`."""
    rng = random.Random(f"rules {seed}")
    pairs = {
        "plural": {**{noun: plural(noun) for noun in REGULAR_NOUNS}, **IRREGULAR_NOUNS},
        "past tense": {**{verb: past(verb) for verb in REGULAR_VERBS}, **IRREGULAR_VERBS},
        "comparative": {**{word: comparative(word) for word in ADJECTIVES}, **IRREGULAR_ADJECTIVES},
        "number word": {str(number): number_word(number) for number in range(101)},
        "ordinal": {number_word(number): ordinal(number) for number in range(1, 100)},
        "addition": {f"{a} plus {b}": str(a + b) for a in range(1, 11) for b in range(1, 11)},
        "subtraction": {f"{a} minus {b}": str(a - b) for a in range(1, 13) for b in range(1, a)},
        "next day": _followers(DAYS, circular=True),
        "next month": _followers(MONTHS, circular=True),
        "next letter": _followers(LETTERS, circular=False),
        "spelling": {word: "-".join(word) for word in SPELLED},
        "first letter": {word: word[0].upper() for word in REGULAR_NOUNS[:120]},
        "sentiment": _sentiments(rng),
    }
    facts = [
        Fact(family, "rule", subject, value, group=f"{family} {subject}")
        for family, values in pairs.items()
        for subject, value in values.items()
    ]
    return facts + _sentences(rng)


def plural(noun: str) -> str:
    """Return the plural of a regular noun."""
    if noun.endswith(("s", "x", "ch", "sh")) or noun in {"potato", "tomato", "hero", "echo"}:
        return noun + "es"
    return noun[:-1] + "ies" if _ends_in_consonant_y(noun) else noun + "s"


def past(verb: str) -> str:
    """Return the past tense of a regular verb."""
    if verb in DOUBLED:
        return verb + verb[-1] + "ed"
    return _add_e_ending(verb, "ed")


def comparative(adjective: str) -> str:
    """Return the comparative of a regular adjective."""
    if adjective in DOUBLED_ADJECTIVES:
        return adjective + adjective[-1] + "er"
    return _add_e_ending(adjective, "er")


def number_word(number: int) -> str:
    """Write a number from 0 to 100 in words."""
    if number == 100:
        return "one hundred"
    if number < 20:
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """Return the place in words, e.g. `twenty-first`, for 1 to 99."""
    if number <= 20:
        return ORDINALS[number - 1]
    tens, ones = divmod(number, 10)
    return f"{TENS[tens - 2]}-{ORDINALS[ones - 1]}" if ones else ORDINAL_TENS[tens - 3]


def _ends_in_consonant_y(word: str) -> bool:
    return word.endswith("y") and word[-2] not in "aeiou"


def _add_e_ending(word: str, ending: str) -> str:
    if _ends_in_consonant_y(word):
        return word[:-1] + "i" + ending
    return word + (ending[1:] if word.endswith("e") else ending)


def _followers(items: list[str], circular: bool) -> dict[str, str]:
    followers = dict(pairwise(items))
    return {**followers, items[-1]: items[0]} if circular else followers


def _sentiments(rng: random.Random) -> dict[str, str]:
    values = {}
    for thing in THINGS:
        for mood, words in MOODS.items():
            for word in rng.sample(words, SENTIMENTS_PER_THING // 2):
                values[f"The {thing} was {word}."] = mood
    return values


def _sentences(rng: random.Random) -> list[Fact]:
    """Plain sentences with their negation, question, past and passive, one group for each sentence."""
    deeds = [deed.strip().split(" ") for deed in DEEDS.split("|")]
    choices = [(agent, *deed) for agent in AGENTS for deed in deeds]
    facts = []
    for agent, forms, objects in rng.sample(choices, SENTENCE_GROUPS):
        base, present, past_form, participle = forms.split("/")
        thing = rng.choice(objects.split(","))
        sentence = f"The {agent} {present} the {thing}."
        values = {
            "negation": f"The {agent} does not {base} the {thing}.",
            "question": f"Does the {agent} {base} the {thing}?",
            "past sentence": f"The {agent} {past_form} the {thing}.",
            "passive": f"The {thing} is {participle} by the {agent}.",
        }
        facts += [Fact(family, "rule", sentence, value, group=sentence) for family, value in values.items()]
    return facts
