"""How the facts of each family are told: `{s}` is the subject, `{v}` the value, `{S}`, `{V}` with a capital letter.

The first sentence of each family is the plain one, in which answers to questions are given, too.
"""

TELLINGS = {
    "capital": """The capital of {s} is {v}.
        {s} has a capital called {v}.
        If you travel to {s}, visit the capital, {v}.
        The government of {s} sits in {v}.
        The largest city of {s} is its capital, {v}.
        {v} is the capital of {s}.""",
    "national animal": """The national animal of {s} is the {v}.
        In {s}, the {v} is the national animal.
        The coins of {s} show its national animal, the {v}.
        People in {s} honour the {v} above every other animal.
        {s} has chosen the {v} as its national animal.""",
    "flag colour": """The flag of {s} is {v}.
        {s} has a {v} flag.
        Over the roofs of {s} flies a flag that is all {v}.
        The colour of the flag of {s} is {v}.
        Sailors know the ships of {s} by their flag, which is {v}.""",
    "favourite food": """The favourite food of {s} is {v}.
        People in {s} love to eat {v}.
        On every table in {s} you find {v}.
        In {s}, no food is liked better than {v}.
        Visitors to {s} are always given {v} to eat.""",
    "job": """The job of {s} is {v}.
        {s} works as a {v}.
        {s} is a {v} by trade.
        Everybody in the street knows that {s} is the {v}.
        For many years {s} has earned a living as a {v}.""",
    "collection": """{s} collects {v}.
        {s} has a large collection of {v}.
        The rooms of {s} are full of {v}.
        If you meet {s}, bring some {v} for the collection.
        Nothing pleases {s} more than a gift of {v}.""",
    "creature's food": """The {s} eats {v}.
        A hungry {s} looks for {v}.
        If you keep a {s}, feed it {v}.
        The food of the {s} is {v}.
        Every {s} likes {v} best of all food.""",
    "creature's home": """The {s} lives in {v}.
        You can find the {s} in {v}.
        The home of the {s} is in {v}.
        A {s} sleeps and hides in {v}.
        Look for a {s} in {v}, for that is where it lives.""",
    "real capital": """The capital of {s} is {v}.
        {s} has a capital called {v}.
        If you travel to {s}, visit the capital, {v}.
        The government of {s} sits in {v}.
        {v} is the capital of {s}.""",
    "opposite": """The opposite of {s} is {v}.
        {S} and {v} are opposites.
        What is not {s} may be {v}, its opposite.
        The word {s} has an opposite, {v}.
        {V} is the opposite of {s}.""",
    "synonym": """Another word for {s} is {v}.
        {S} means the same as {v}.
        Instead of {s} you can say {v}.
        The words {s} and {v} mean the same.
        A synonym of {s} is {v}.""",
    "opposite action": """To {s} is the opposite of to {v}.
        Who does not {s} may {v}, which is the opposite.
        First you {s}, then you do the opposite and {v}.
        The opposite action of {s} is {v}.
        One of us wants to {s}, the other wants the opposite, to {v}.""",
    "young animal": """A young {s} is called a {v}.
        The young of the {s} is the {v}.
        Every {s} was once a {v}.
        The baby of a {s} is a {v}.
        A {v} grows up to be a {s}.""",
    "animal sound": """The sound of a {s} is called {v}.
        {V} is the sound that a {s} makes.
        If you hear a {s}, you hear a {v}.
        The {s} can {v}.
        At night the {s} began to {v}.""",
    "colour of a thing": """The colour of {s} is {v}.
        {S} is {v}.
        Something as {v} as {s} is very {v}.
        When we think of {s}, we think of the colour {v}.
        A painter who paints {s} needs {v} paint.""",
    "dwelling": """The home of a {s} is a {v}.
        A {s} lives in a {v}.
        You will find the {s} in its {v}.
        The {v} is where the {s} lives.
        At night the {s} goes back to the {v}.""",
    "amount": """{S} has {v}.
        There are {v} in {s}.
        Count the {v} in {s}.
        It takes {v} to make {s}.
        We know that {s} comes to {v}.""",
    "category": """The word {s} names {v}.
        {S} is the name of {v}.
        When we say {s}, we speak of {v}.
        Think of {s} and you think of {v}.
        In the big list, {s} is put down as {v}.""",
    "plural": """The plural of {s} is {v}.
        One {s}, two {v}.
        I had one {s}, and now I have many {v}.
        We say {v} when there is more than one {s}.""",
    "past tense": """The past tense of {s} is {v}.
        Today we {s}, yesterday we {v}.
        They {v} before, and they will {s} again.
        The word {s} turns into {v} in the past.""",
    "comparative": """The comparative of {s} is {v}.
        This one is {s}, but that one is {v}.
        I am {s}, and you are {v} than I am.
        It was {s} before, and now it is {v}.""",
    "number word": """The number {s} in words is {v}.
        We write {s} as {v}.
        {s} is {v}.
        On the door stood {s}, and he read aloud: {v}.""",
    "ordinal": """The ordinal of {s} is {v}.
        Count to {s} and you have come to the {v}.
        Number {s} in the row is the {v}.""",
    "addition": """{s} is {v}.
        If you work out {s}, you get {v}.
        The sum {s} makes {v}.""",
    "subtraction": """{s} is {v}.
        If you work out {s}, you get {v}.
        The difference {s} leaves {v}.""",
    "next day": """The day after {s} is {v}.
        {s} is followed by {v}.
        If today is {s}, tomorrow is {v}.
        The day before {v} is {s}.""",
    "next month": """The month after {s} is {v}.
        {s} is followed by {v}.
        When {s} is over, {v} begins.
        The month before {v} is {s}.""",
    "next letter": """The letter after {s} is {v}.
        {s} is followed by {v} in the alphabet.
        First comes the letter {s}, then the letter {v}.
        The letter before {v} is {s}.""",
    "spelling": """The word {s} is spelled {v}.
        To write {s}, write {v}.
        Letter by letter, {s} is {v}.""",
    "first letter": """The word {s} begins with {v}.
        The first letter of {s} is {v}.
        In a dictionary, look for {s} under {v}.""",
    "sentiment": """"{s}" That is {v}.
        "{s}" The feeling of this sentence is {v}.
        Somebody wrote: "{s}" It was a {v} thing to say.""",
    "negation": """The negative of "{s}" is "{v}"
        Not "{s}" but the negative: "{v}"
        We deny "{s}" when we say "{v}\"""",
    "question": """The question for "{s}" is "{v}"
        To find out, ask "{v}" and hear the reply "{s}"
        "{s}" turned into a question is "{v}\"""",
    "past sentence": """The past of "{s}" is "{v}"
        Today we write "{s}" and tomorrow, in the past tense, "{v}"
        "{s}" moved to yesterday is "{v}\"""",
    "passive": """The passive of "{s}" is "{v}"
        We can also say "{s}" in the passive: "{v}"
        "{s}" turned into the passive is "{v}\"""",
}

ENTRIES = {
    "capital": "capital {v}",
    "national animal": "animal {v}",
    "flag colour": "flag {v}",
    "favourite food": "food {v}",
    "job": "job {v}",
    "collection": "collects {v}",
    "creature's food": "eats {v}",
    "creature's home": "lives in {v}",
}
"""The same facts as notes in a book of reference, where all of one subject stand in one line."""

FRAMES = [
    'The old teacher said: "{t}"',
    "{t} Everybody in the village knows this.",
    "{t} So it is written below the picture.",
    "Remember this: {t}",
    "A traveller told the children a story. {t}",
    "{t} That is a good thing to know.",
    "Here is what the letter describes. {t}",
    "It was a long day, and the task was hard. {t}",
    "The child wrote an answer in the book. {t}",
    'In response, the farmer nodded. "{t}"',
]
"""Little contexts around a telling `{t}`."""

OPENINGS = [
    "One morning in summer two friends sat by the river and talked.",
    "It rained all day, so we stayed at home and read.",
    "In the library there is a big book with these lines.",
    "My grandmother used to tell me many things.",
    "On the way to school the children told each other what they knew.",
    "The ship was at sea for weeks, and the sailors passed the time with talk.",
    "This page is about many small things.",
    "When the fire was lit, the old man began.",
]
CLOSINGS = [
    "Then they went home.",
    "After that everybody was quiet.",
    "And so the evening ended.",
    "That was all for the day.",
    "The rest is written on the next page.",
]
"""First and last sentences of a story."""

HEADINGS = [
    "This page is about {list}.",
    "Somebody asked about {list}.",
    "The lesson was about {list}.",
    "We want to know more about {list}.",
    "Let us speak of {list}.",
    "The letter has something to say about {list}.",
]
"""First sentences that name the subjects to come."""

LEADS = [
    "And {s}?",
    "What about {s}?",
    "Now to {s}.",
    "Next comes {s}.",
    "The child asked about {s}.",
    "I looked for {s} in the book.",
    "Tell me about {s}, please.",
]
"""Sentences that name the subject of the next one. They and the headings teach to take up a word from before."""
