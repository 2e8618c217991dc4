"""Write the data that the examples read, from packages or generated: nothing is downloaded.

    python examples/make_data.py [FOLDER]

The files go to ``examples/data``, or to FOLDER. What stands there already is written anew, always to the same bytes.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from data_sources import assistant, packaged, sensors, tones

WRITERS: dict[str, Callable[[Path], None]] = {
    "tourism.parquet": packaged.write_tourism,
    "weather.csv": packaged.write_weather,
    "japanese_vowels.csv": packaged.write_japanese_vowels,
    "languages.csv": packaged.write_languages,
    "phonemes.csv": packaged.write_phonemes,
    "slots.parquet": assistant.write_slots,
    "rotation.parquet": sensors.write_rotation,
    "activities.parquet": sensors.write_activities,
    "tones.csv": tones.write_tones,
}
"""What writes each table; ``tones.csv`` has a folder ``tones`` of recordings beside it."""


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in WRITERS.items():
        write(folder / name)
        print(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data")
