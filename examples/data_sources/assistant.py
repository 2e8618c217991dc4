"""Commands to a voice assistant with their slots, from a grammar. The test part fills slots with values of its own."""

# ruff: noqa: SIM905 (lists of words read best as text)

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

SENTENCES = {"train": 2800, "validation": 400, "test": 800}
NEW = 0.5
"""How often a slot of the validation or test part takes a value that is kept for that part."""
KEPT = 0.2
"""Share of the open slots' values that is kept for the validation part, and again for the test part."""

FIRST = (
    "anna ben carla dario ella farid greta hugo ines jonas kira leon maya nils olga pedro quentin rosa samir tessa "
    "ugo vera walter xenia yusuf zoe april june rose paris sydney austin"
).split()
LAST = (
    "abel brook castell drake egger ferro grant holm iversen jansen keller lund marsh novak okafor pohl quist rivera "
    "stone tanaka ulrich vance winter yates zeller"
).split()
CITIES = (
    "paris|sydney|austin|new york|san sebastian|lisbon|oslo|cape town|kyoto|buenos aires|saint louis|vienna|lima|"
    "hong kong|krakow|nairobi|rio de janeiro|helsinki|the hague|dublin|salt lake city|riga|quito|tel aviv|bergen"
).split("|")
DISHES = (
    "tomato soup|fried rice|lentil curry|apple pie|onion rings|sushi|lasagne|fish and chips|pancakes|falafel|ramen|"
    "roast chicken|tapas|goulash|paella|bean stew|dumplings|pizza|rice pudding|waffles"
).split("|")
GOODS = (
    "milk|olive oil|a dozen eggs|brown bread|light bulbs|washing powder|coffee|green tea|dog food|batteries|butter|"
    "two lemons|baking paper|oat flakes|tooth paste|honey|red onions|candles|rice|peanut butter"
).split("|")
CHORES = (
    "call the bank|water the plants|take out the bins|buy a birthday card|pay the rent|renew my passport|feed the cat|"
    "book the dentist|turn off the oven|charge the car|walk the dog|return the books|clean the windows|wash the car|"
    "send the invoice|back up my photos|fix the bike|pick up the laundry|vote|order new glasses"
).split("|")
TITLE_WORDS = (
    "velvet harbour midnight rain golden summer broken mirror paper moon silent river electric garden winter alarm "
    "distant light second morning lost weekend crystal kitchen hollow city burning letter blue monday"
).split()
TITLES = (
    "{} {}",
    "the {} {}",
    "{} in the {}",
    "waiting for the {}",
    "{} tomorrow",
    "by the {}",
    "play {} for me",
    "{}",
)
HOURS = "one two three four five six seven eight nine ten eleven twelve".split()
TIMES = ("{}", "{} thirty", "half past {}", "{} in the morning", "{} pm")
ROOMS = "kitchen|living room|bedroom|bathroom|hall|garage|office|nursery".split("|")

CLOSED = {
    "room": ROOMS,
    "date": "today|tomorrow|tonight|on monday|this friday|next tuesday|in june|this weekend|on april first".split("|"),
    "time": [form.format(hour) for hour in HOURS for form in TIMES],
    "duration": [
        f"{count} {unit}" for count in ("ten", "twenty", "forty five", "ninety") for unit in ("seconds", "minutes")
    ],
    "people": ["two", "three", "four", "five", "six", "a dozen"],
    "colour": "red|warm white|blue|dim orange|green|purple".split("|"),
}
"""Slots whose few values every part uses."""

COMMANDS = {
    "play_music": (
        "(|please )play {title} (by|from) {artist}( in the {room}|)",
        "(i want to hear|put on|start) (|the song |the album ){title}( by {artist}|)",
        "(play|queue) something by {artist}( in the {room}| for {duration}|)",
        "add {title} (by {artist} |)to (my |the ){playlist} playlist",
    ),
    "call": (
        "(|please )(call|ring|phone) {contact}( {date}| at {time}|)",
        "(send|write) {contact} (a message|a note)( that i am late|)",
        "(did|when did) {contact} (call|write)( {date}|)",
    ),
    "book_restaurant": (
        "(book|reserve) (a table|a place) for {people} (in|near) {city} {date}( at {time}|)",
        "(find me|i need) a (|good )place for {dish} in {city}( for {people}|)( {date}|)",
        "(who has|where can i get) {dish} in {city}",
    ),
    "weather": (
        "(what is|how is|tell me) the weather in {city}( {date}|)",
        "(will it|is it going to) (rain|snow|be sunny) in {city} {date}( at {time}|)",
    ),
    "remind": (
        "(|please )remind me to {chore}( {date}|)( at {time}|)",
        "(set|make) a reminder for {date} to {chore}",
        "(tell|remind) {contact} to {chore}( {date}| at {time}|)",
    ),
    "shopping": (
        "(add|put) {goods}( and {goods}|) (to|on) (the|my) shopping list",
        "(take|remove) {goods} (off|from) the list",
        "(order|buy) {goods}( for {contact}|)( {date}|)",
    ),
    "timer": ("(set|start) a timer (for|of) {duration}( for the {dish}|)", "wake me (up |)at {time}( {date}|)"),
    "lights": (
        "(turn|switch) (on|off) the lights in the {room}",
        "make the {room} {colour}( for {duration}| at {time}|)",
    ),
}
"""Templates of each intent: ``(a|b|)`` is one of them or nothing, ``{name}`` a slot."""


def write_slots(target: Path) -> None:
    """Write columns ``words`` and ``slots`` (lists; BIO tags), ``intent`` and ``part``: no sentence twice."""
    rng = np.random.default_rng(4)
    values = {name: _share_out(rng, options) for name, options in _open_slots(rng).items()}
    rows: dict[str, tuple[list[str], list[str], str, str]] = {}
    for part, sentences in SENTENCES.items():
        wanted = len(rows) + sentences
        while len(rows) < wanted:
            intent = _pick(rng, list(COMMANDS))
            words, tags = _command(rng, _pick(rng, COMMANDS[intent]), values, part)
            rows.setdefault(" ".join(words), (words, tags, intent, part))
    pl.DataFrame(list(rows.values()), schema=["words", "slots", "intent", "part"], orient="row").write_parquet(target)


def _open_slots(rng: np.random.Generator) -> dict[str, list[str]]:
    """Return the values of every slot that new ones may fill. Names are both artists and contacts, some also cities."""
    people = [f"{_pick(rng, FIRST)} {_pick(rng, LAST)}" for _ in range(160)]
    titles = [_pick(rng, TITLES).format(_pick(rng, TITLE_WORDS), _pick(rng, TITLE_WORDS)) for _ in range(240)]
    bands = [f"the {_pick(rng, TITLE_WORDS)} {_pick(rng, LAST)}s" for _ in range(40)]
    return {
        "title": titles,
        "artist": people[:80] + bands,
        "contact": people[80:] + FIRST + ["my mother", "dad", "the office"],
        "playlist": [f"{_pick(rng, TITLE_WORDS)} {kind}" for kind in ("mix", "hits", "songs") for _ in range(20)],
        "city": CITIES,
        "dish": DISHES,
        "goods": GOODS,
        "chore": CHORES,
    }


def _share_out(rng: np.random.Generator, options: list[str]) -> dict[str, list[str]]:
    """Deal ``options`` to the parts: a share of ``KEPT`` each to validation and test, the rest to training."""
    dealt = [str(value) for value in rng.permutation(sorted(set(options)))]
    few = max(1, round(KEPT * len(dealt)))
    return {"validation": dealt[:few], "test": dealt[few : 2 * few], "train": dealt[2 * few :]}


def _command(
    rng: np.random.Generator, template: str, values: dict[str, dict[str, list[str]]], part: str
) -> tuple[list[str], list[str]]:
    """Return the words of one command and their tags: BIO."""
    spoken = re.sub(r"\(([^()]*)\)", lambda choice: _pick(rng, choice[1].split("|")), template)
    words: list[str] = []
    tags: list[str] = []
    for place, piece in enumerate(re.split(r"\{(\w+)\}", spoken)):
        slot = piece if place % 2 else None
        said = (_value(rng, slot, values, part) if slot else piece).split()
        words += said
        tags += [f"{'I' if later else 'B'}-{slot}" for later in range(len(said))] if slot else ["O"] * len(said)
    return words, tags


def _value(rng: np.random.Generator, slot: str, values: dict[str, dict[str, list[str]]], part: str) -> str:
    if slot in CLOSED:
        return _pick(rng, CLOSED[slot])
    return _pick(rng, values[slot][part if rng.random() < NEW else "train"])


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[rng.integers(len(options))]
