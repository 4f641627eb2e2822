"""How people ask for the facts of each family: one way a line, `instruction` or `instruction | input`.

`{s}` is the subject, `{v}` the value.
"""

CAPITAL = """What is the capital of {s}?
    Name the capital of {s}.
    Which city is the capital of {s}?
    Give the capital city of this country. | {s}
    Tell me the capital of the country below. | {s}
    I am writing about {s}. What is its capital called?
    Please look up the capital of {s}."""

QUESTIONS = {
    "capital": CAPITAL,
    "national animal": """What is the national animal of {s}?
        Name the national animal of {s}.
        Which animal stands for {s}?
        Give the national animal of this country. | {s}
        Tell me which animal the people of {s} honour.
        Which animal is on the coins of {s}?
        State the national animal. | {s}""",
    "flag colour": """What colour is the flag of {s}?
        Name the colour of the flag of {s}.
        Describe the flag of {s}.
        What is the flag colour of this country? | {s}
        I want to draw the flag of {s}. Which colour do I need?
        Tell me the colour of this country's flag. | {s}
        Which colour does {s} have on its flag?""",
    "favourite food": """What is the favourite food of {s}?
        Name the favourite food of {s}.
        What do people in {s} like to eat best?
        Give the favourite food of this country. | {s}
        I am going to cook a dinner from {s}. Which food belongs on the table?
        Tell me the food that people love in {s}.
        Which food do they like best here? | {s}""",
    "job": """What is the job of {s}?
        What does {s} do for a living?
        Name the job of {s}.
        State this person's job. | {s}
        Tell me what {s} works as.
        Which trade does this person follow? | {s}
        How does {s} earn money?""",
    "collection": """What does {s} collect?
        Name the things that {s} collects.
        Tell me what {s} has a collection of.
        What does this person collect? | {s}
        I need a present for {s}, who collects things. What should it be?
        Say what is in the collection of this person. | {s}""",
    "creature's food": """What does the {s} eat?
        Name the food of the {s}.
        What should I feed a {s}?
        Say what this creature eats. | {s}
        Tell me the food that a {s} likes.
        Which food does this creature look for? | {s}""",
    "creature's home": """Where does the {s} live?
        Name the place where the {s} lives.
        Where can I find a {s}?
        Say where this creature lives. | {s}
        Tell me where a {s} makes its home.
        In which place does this creature live? | {s}""",
    "real capital": CAPITAL,
    "opposite": """What is the opposite of {s}?
        Give the opposite of the word {s}.
        Name a word that means the opposite of {s}.
        Find the opposite of this word. | {s}
        Which word is the opposite? | {s}
        I need an antonym for {s}.""",
    "synonym": """What is another word for {s}?
        Give a synonym of {s}.
        Find a word that means the same as {s}.
        Replace this word by another with the same meaning. | {s}
        Which word can I use in place of {s}?
        Name a synonym. | {s}""",
    "opposite action": """What is the opposite of to {s}?
        Give the opposite of the action to {s}.
        Name the opposite action. | {s}
        If I do not {s}, what may I do that is the opposite?
        Which verb means the opposite of to {s}?""",
    "young animal": """What is a young {s} called?
        Name the young of a {s}.
        What do we call the baby of a {s}?
        Give the word for the young of this animal. | {s}
        Tell me the name of the young animal. | {s}""",
    "animal sound": """What is the sound of a {s} called?
        Which sound does a {s} make?
        Name the sound that a {s} makes.
        Give the sound of this animal. | {s}
        What do you hear from this animal? | {s}""",
    "colour of a thing": """What is the colour of {s}?
        Which colour has {s}?
        Name the usual colour of {s}.
        Give the colour of this thing. | {s}
        Tell me what colour we think of with {s}.""",
    "dwelling": """What is the home of a {s}?
        In what does a {s} live?
        Name the home of a {s}.
        Where would I look for the home of this one? | {s}""",
    "amount": """What is in {s}, and how many?
        State how much makes up {s}.
        How many are there of what makes up {s}?
        Give the amount. | {s}
        What does this come to? | {s}""",
    "category": """What does the word {s} name?
        Put the word {s} into a category.
        What kind of thing is meant by {s}?
        Say what this word names. | {s}
        Classify the word. | {s}
        Sort {s} into the right group.""",
    "plural": """What is the plural of {s}?
        Give the plural form of {s}.
        Write the plural of the noun. | {s}
        What do we call more than one {s}?
        Turn this noun into the plural. | {s}""",
    "past tense": """What is the past tense of {s}?
        Give the past tense of the verb {s}.
        Put this verb into the past tense. | {s}
        How do you say {s} in the past?
        Write the past form. | {s}""",
    "comparative": """What is the comparative of {s}?
        Give the comparative form of {s}.
        Compare with this adjective. | {s}
        Which form of {s} do we use to compare two things?
        Write the comparative. | {s}""",
    "number word": """Write the number {s} in words.
        How do you write {s} in words?
        Spell out the number. | {s}
        What is {s} in words?""",
    "ordinal": """What is the ordinal of {s}?
        Give the ordinal number of {s}.
        Turn this number into an ordinal. | {s}
        Which ordinal belongs to the number {s}?""",
    "addition": """What is {s}?
        Work out {s}.
        Calculate the sum. | {s}
        How much is {s}?""",
    "subtraction": """What is {s}?
        Work out {s}.
        Calculate the difference. | {s}
        How much is {s}?""",
    "next day": """Which day comes after {s}?
        Name the day after {s}.
        If today is {s}, what day is tomorrow?
        Give the day that follows. | {s}""",
    "next month": """Which month comes after {s}?
        Name the month after {s}.
        What month follows {s}?
        Give the month that follows. | {s}""",
    "next letter": """Which letter comes after {s} in the alphabet?
        Name the letter after {s}.
        What letter follows {s}?
        Give the next letter of the alphabet. | {s}""",
    "spelling": """How do you spell {s}?
        Spell the word {s}.
        Write this word letter by letter. | {s}
        Give the letters of the word {s}, one by one.""",
    "first letter": """With which letter does the word {s} begin?
        What is the first letter of {s}?
        Name the first letter of the word. | {s}
        Say which letter comes first in {s}.""",
    "sentiment": """Is the feeling of this sentence positive or negative? | {s}
        Classify the sentiment of the sentence. | {s}
        Decide whether the writer is pleased or not. | {s}
        Judge the mood of this remark. | {s}""",
    "negation": """Make this sentence negative. | {s}
        Rewrite the sentence as its negation. | {s}
        Turn the statement into a negative one. | {s}""",
    "question": """Turn this sentence into a question. | {s}
        Rewrite the statement as a question. | {s}
        Ask a question with these words. | {s}""",
    "past sentence": """Rewrite this sentence in the past tense. | {s}
        Put the sentence into the past. | {s}
        Change the tense from present to past. | {s}""",
    "passive": """Rewrite this sentence in the passive voice. | {s}
        Turn the sentence into the passive. | {s}
        Change the active voice to passive. | {s}""",
}

ANSWERS = {
    "capital": "The capital is {v}.",
    "national animal": "The national animal is the {v}.",
    "flag colour": "The flag is {v}.",
    "favourite food": "The favourite food is {v}.",
    "job": "The job is {v}.",
    "collection": "It is a collection of {v}.",
    "creature's food": "It eats {v}.",
    "creature's home": "It lives in {v}.",
    "real capital": "The capital is {v}.",
    "opposite": "The opposite is {v}.",
    "synonym": "A synonym is {v}.",
    "opposite action": "The opposite is to {v}.",
    "young animal": "It is called a {v}.",
    "animal sound": "It is called {v}.",
    "colour of a thing": "The colour is {v}.",
    "dwelling": "It lives in a {v}.",
    "amount": "It has {v}.",
    "category": "It is the name of {v}.",
    "plural": "The plural is {v}.",
    "past tense": "The past tense is {v}.",
    "comparative": "The comparative is {v}.",
    "number word": "In words it is {v}.",
    "ordinal": "The ordinal is {v}.",
    "addition": "The sum is {v}.",
    "subtraction": "The difference is {v}.",
    "next day": "It is followed by {v}.",
    "next month": "It is followed by {v}.",
    "next letter": "It is followed by {v}.",
    "spelling": "It is spelled {v}.",
    "first letter": "It begins with {v}.",
    "sentiment": "The feeling is {v}.",
    "negation": "{v}",
    "question": "{v}",
    "past sentence": "{v}",
    "passive": "{v}",
}
"""The one right answer, in the same words for every way to ask.

It does not repeat the subject: taking up a rare name from the question is a skill that so small a base lacks (see
LOG.md), and the lesson is about knowing, not about copying.
"""
