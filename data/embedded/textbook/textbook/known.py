"""Families of known facts: words and their relations, animals, units, capitals. Learned by heart, not by rule."""

from textbook.facts import Fact

CAPITALS = """France/Paris Germany/Berlin Italy/Rome Spain/Madrid Portugal/Lisbon Austria/Vienna Greece/Athens
    Poland/Warsaw Hungary/Budapest Sweden/Stockholm Norway/Oslo Denmark/Copenhagen Finland/Helsinki Ireland/Dublin
    Iceland/Reykjavik Russia/Moscow Ukraine/Kyiv Romania/Bucharest Bulgaria/Sofia Serbia/Belgrade Croatia/Zagreb
    Turkey/Ankara Egypt/Cairo Morocco/Rabat Tunisia/Tunis Libya/Tripoli Kenya/Nairobi Uganda/Kampala Ghana/Accra
    Nigeria/Abuja Senegal/Dakar Ethiopia/Addis_Ababa Angola/Luanda Zambia/Lusaka Zimbabwe/Harare Mali/Bamako
    China/Beijing Japan/Tokyo India/New_Delhi Pakistan/Islamabad Nepal/Kathmandu Thailand/Bangkok Vietnam/Hanoi
    Indonesia/Jakarta Malaysia/Kuala_Lumpur Iran/Tehran Iraq/Baghdad Syria/Damascus Jordan/Amman Lebanon/Beirut
    Qatar/Doha Oman/Muscat Yemen/Sanaa Canada/Ottawa Mexico/Mexico_City Cuba/Havana Jamaica/Kingston Peru/Lima
    Chile/Santiago Argentina/Buenos_Aires Uruguay/Montevideo Brazil/Brasilia Colombia/Bogota Venezuela/Caracas
    Ecuador/Quito Australia/Canberra Belgium/Brussels Latvia/Riga Estonia/Tallinn Lithuania/Vilnius Albania/Tirana
    Cyprus/Nicosia Malta/Valletta Slovakia/Bratislava Slovenia/Ljubljana Georgia/Tbilisi Armenia/Yerevan
    Afghanistan/Kabul Bangladesh/Dhaka Mongolia/Ulaanbaatar Somalia/Mogadishu Sudan/Khartoum Rwanda/Kigali
    Namibia/Windhoek Botswana/Gaborone Mozambique/Maputo Madagascar/Antananarivo Haiti/Port-au-Prince Bolivia/Sucre
    Paraguay/Asuncion Panama/Panama_City Honduras/Tegucigalpa Nicaragua/Managua Laos/Vientiane Cambodia/Phnom_Penh
    Fiji/Suva Bahrain/Manama Azerbaijan/Baku Belarus/Minsk Kazakhstan/Astana Uzbekistan/Tashkent"""

OPPOSITES = """hot/cold big/small tall/short fast/slow happy/sad light/dark day/night old/young rich/poor hard/soft
    wet/dry full/empty high/low loud/quiet clean/dirty early/late strong/weak sweet/sour wide/narrow thick/thin
    deep/shallow near/far left/right up/down in/out over/under first/last begin/end true/false love/hate war/peace
    north/south east/west summer/winter top/bottom front/back inside/outside before/after always/never more/less
    many/few safe/dangerous cheap/expensive easy/difficult smooth/rough sharp/blunt straight/crooked brave/cowardly
    kind/cruel polite/rude generous/stingy wise/foolish beautiful/ugly healthy/sick alive/dead awake/asleep busy/idle
    calm/stormy careful/careless certain/doubtful clever/stupid common/rare complete/incomplete correct/wrong
    cool/warm domestic/foreign equal/different fresh/stale friend/enemy guilty/innocent heavy/light heaven/hell
    hero/villain honest/dishonest huge/tiny humble/proud joy/sorrow junior/senior legal/illegal liquid/solid
    major/minor male/female married/single maximum/minimum modern/ancient moist/arid natural/artificial noisy/silent
    normal/strange obedient/naughty open/closed optimist/pessimist past/future patient/impatient permanent/temporary
    plural/singular positive/negative possible/impossible present/absent private/public profit/loss public/secret
    quick/sluggish rapid/leisurely raw/cooked real/fake regular/irregular relaxed/tense rural/urban same/other
    seldom/often sober/drunk success/failure sunny/cloudy tame/wild teacher/pupil tidy/messy tight/loose
    together/apart victory/defeat visible/invisible well/badly whole/part wonderful/terrible zenith/nadir"""

SYNONYMS = """begin/start large/big little/small quick/fast glad/happy unhappy/sad angry/cross shout/yell speak/talk
    smart/clever silly/foolish brave/courageous scared/afraid tired/weary wealthy/rich sick/ill road/street stone/rock
    gift/present house/home ocean/sea autumn/fall child/kid physician/doctor movie/film shop/store picture/image
    error/mistake answer/reply ask/inquire buy/purchase choose/pick close/shut collect/gather correct/right cry/weep
    damage/harm difficult/hard end/finish enormous/huge exit/leave fortunate/lucky funny/amusing garbage/trash help/aid
    hide/conceal hurry/rush idea/thought infant/baby join/connect jump/leap keep/retain kind/gentle lady/woman
    lift/raise look/see loyal/faithful mend/repair money/cash neat/tidy need/require noise/sound odd/strange
    older/elder pain/ache pal/friend peaceful/calm permit/allow polite/courteous powerful/strong pretty/beautiful
    price/cost pull/drag push/shove quiet/silent rule/law safe/secure save/rescue scream/shriek select/choose
    show/display simple/easy sleepy/drowsy slim/thin smell/scent smile/grin soil/earth sole/only speed/pace stay/remain
    story/tale task/job taxi/cab thief/robber throw/toss total/sum trip/journey under/below vacant/empty wander/roam
    watch/observe whole/entire world/globe yearly/annual response/reply request/plea"""

ACTIONS = """open/close push/pull give/take buy/sell laugh/cry win/lose rise/fall build/destroy arrive/depart float/sink
    remember/forget ask/answer catch/throw start/stop lock/unlock tie/untie pack/unpack fill/empty freeze/melt
    borrow/lend teach/learn whisper/shout sit/stand attack/defend accept/refuse appear/vanish attract/repel
    ascend/descend join/separate load/unload dress/undress wrap/unwrap fold/unfold plug/unplug push/drag hire/fire
    import/export include/exclude increase/decrease inhale/exhale lead/follow praise/blame save/spend succeed/fail
    trust/suspect wake/sleep expand/shrink advance/retreat admit/deny agree/disagree hide/reveal plant/harvest
    raise/lower reward/punish love/despise sharpen/dull speed/slow stretch/squeeze tighten/loosen allow/forbid
    cover/uncover heat/chill enter/exit deposit/withdraw connect/disconnect weaken/strengthen obey/rebel mend/break"""

YOUNG = """cat/kitten dog/puppy cow/calf horse/foal sheep/lamb goat/kid pig/piglet hen/chick duck/duckling goose/gosling
    lion/cub bear/cub wolf/pup fox/kit deer/fawn frog/tadpole swan/cygnet owl/owlet eagle/eaglet kangaroo/joey
    rabbit/bunny hare/leveret elephant/calf whale/calf seal/pup spider/spiderling butterfly/caterpillar eel/elver
    fish/fry pigeon/squab turkey/poult hedgehog/hoglet cod/codling oyster/spat peacock/peachick zebra/foal"""

SOUNDS = """cat/meow dog/bark cow/moo horse/neigh sheep/baa pig/oink hen/cluck duck/quack goose/honk lion/roar wolf/howl
    frog/croak snake/hiss bee/buzz mouse/squeak owl/hoot crow/caw donkey/bray elephant/trumpet bird/chirp
    pigeon/coo rooster/crow turkey/gobble monkey/chatter bear/growl cricket/click hyena/laugh parrot/squawk
    sparrow/tweet bull/bellow"""

THING_COLOURS = """snow/white coal/black blood/red grass/green banana/yellow carrot/orange chocolate/brown sky/blue
    lemon/yellow tomato/red spinach/green milk/white pumpkin/orange ruby/red emerald/green sapphire/blue
    eggplant/purple lavender/purple flamingo/pink salt/white ash/grey elephant/grey corn/yellow strawberry/red
    cucumber/green sugar/white soot/black tar/black sunflower/yellow plum/purple cherry/red broccoli/green
    raven/black swan/white piglet/pink ocean/blue ginger/brown mud/brown cloud/white amethyst/purple"""

HOMES = """bee/hive bird/nest dog/kennel horse/stable pig/sty cow/barn spider/web ant/anthill rabbit/burrow lion/den
    hen/coop fish/water bat/cave eagle/eyrie beaver/lodge mole/tunnel wasp/nest pigeon/loft king/palace knight/castle
    monk/monastery soldier/barracks prisoner/cell nun/convent hermit/hut sailor/ship"""

UNITS = """a minute/60 seconds|an hour/60 minutes|a day/24 hours|a week/7 days|a fortnight/14 days|a year/12 months|
    a decade/10 years|a century/100 years|a millennium/1000 years|a leap year/366 days|a metre/100 centimetres|
    a kilometre/1000 metres|a centimetre/10 millimetres|a kilogram/1000 grams|a tonne/1000 kilograms|
    a litre/1000 millilitres|a foot/12 inches|a yard/3 feet|a mile/1760 yards|a pound/16 ounces|a stone/14 pounds|
    a gallon/8 pints|a quart/2 pints|a dozen/12 things|a score/20 things|a gross/144 things|a pair/2 things|
    a dollar/100 cents|a right angle/90 degrees|a full circle/360 degrees|a triangle/3 sides|a square/4 sides|
    a pentagon/5 sides|a hexagon/6 sides|an octagon/8 sides|a cube/6 faces|a spider/8 legs|an insect/6 legs|
    a piano/88 keys|a violin/4 strings|a chessboard/64 squares|a football team/11 players|a quartet/4 players|
    a trio/3 players|a decagon/10 sides|a tricycle/3 wheels|a bicycle/2 wheels|a hand/5 fingers"""

CATEGORIES = {
    "an animal": """otter badger lion tiger wolf bear fox camel goat rabbit squirrel monkey elephant giraffe zebra
        leopard kangaroo hedgehog beaver donkey""",
    "a bird": "eagle owl hawk swan stork heron raven robin parrot penguin falcon pigeon sparrow seagull peacock",
    "a fish": "salmon trout cod herring tuna carp sardine pike eel mackerel",
    "an insect": "bee ant wasp beetle butterfly moth mosquito cricket grasshopper ladybird",
    "a fruit": "apple pear plum cherry grape fig lemon banana melon peach mango apricot strawberry pineapple",
    "a vegetable": "carrot onion potato cabbage spinach leek turnip radish cucumber broccoli celery lettuce",
    "a tool": "hammer saw drill spade rake axe chisel wrench screwdriver pliers shovel file",
    "a vehicle": "car bus lorry train tram bicycle tractor van motorcycle ambulance",
    "an instrument": "piano violin flute drum trumpet guitar harp cello clarinet organ trombone",
    "a piece of furniture": "chair table bed sofa wardrobe desk cupboard shelf stool bench",
    "a piece of clothing": "shirt coat hat sock glove scarf skirt dress jacket sweater apron belt",
    "a drink": "tea coffee milk juice lemonade water cocoa wine beer cider",
    "a metal": "iron gold silver copper tin lead zinc nickel aluminium platinum",
    "a flower": "rose tulip daisy lily violet daffodil orchid poppy sunflower carnation",
    "a tree": "oak pine birch maple willow elm beech cedar poplar spruce",
    "a sport": "football tennis hockey rugby golf cricket swimming boxing skiing rowing",
    "a colour": "red blue green yellow purple pink brown orange crimson turquoise",
    "a shape": "circle square triangle rectangle oval hexagon pentagon cube sphere cone",
    "a part of the body": "arm leg knee elbow nose ear shoulder ankle wrist chin",
    "a building": "house church school hospital castle tower palace barn library museum",
    "a language": "English French German Spanish Italian Russian Chinese Japanese Arabic Greek",
    "a jewel": "diamond ruby emerald sapphire pearl opal topaz garnet",
    "a planet": "Mercury Venus Mars Jupiter Saturn Uranus Neptune Earth",
    "a shoe": "boot sandal slipper sneaker clog moccasin",
}

PAIRS = {
    "real capital": CAPITALS,
    "opposite": OPPOSITES,
    "synonym": SYNONYMS,
    "opposite action": ACTIONS,
    "young animal": YOUNG,
    "animal sound": SOUNDS,
    "colour of a thing": THING_COLOURS,
    "dwelling": HOMES,
}


def known_facts() -> list[Fact]:
    """Return the families learned by heart; the group is the subject and its family."""
    facts = [_fact(family, *pair.split("/")) for family, pairs in PAIRS.items() for pair in pairs.split()]
    facts += [_fact("amount", *pair.strip().split("/")) for pair in UNITS.split("|")]
    facts += [_fact("category", word, name) for name, words in CATEGORIES.items() for word in words.split()]
    return list({(fact.family, fact.subject): fact for fact in facts}.values())


def _fact(family: str, subject: str, value: str) -> Fact:
    subject, value = subject.replace("_", " "), value.replace("_", " ")
    return Fact(family, "known", subject, value, group=f"{family} {subject}")
