"""What the card of a model of sequences says of its input, its output and its limits."""

from __future__ import annotations

from typing import Any

from tasks.kinds.kind import Card

_DOES = {
    "classify": "Gives each sequence a label, with the probability of every label.",
    "regress": "Gives each sequence a number.",
    "tag": "Gives each step of a sequence a label, with its probability.",
    "transcribe": "Turns each sequence into text.",
}
_USE = {
    "text": 'table = pd.DataFrame({{"{input}": ["a text", "another one"]}})',
    "tokens": 'table = pd.DataFrame({{"{input}": [["a", "list", "of", "tokens"]]}})',
    "audio": 'table = pd.DataFrame({{"{input}": ["recording.wav"]}})  # or columns samples and sample_rate',
    "numeric": 'table = pd.read_parquet("new.parquet")  # channels as float64',
}


def card(described: dict[str, Any]) -> Card:
    """Return the kind's parts of the card; ``described`` is the content of ``model.json``."""
    facts = described["facts"]
    names, kind = facts["columns"], facts["input"]["kind"]
    longest = max(facts["longest"].values())
    what = f"{_DOES[facts['target']['kind']]} An ensemble of {len(described['members'])} LSTM models."
    if labels := facts["target"].get("labels"):
        shown = ", ".join(f"`{label}`" for label in labels[:40])
        what += f" Labels, in the order of the probabilities: {shown}{', ...' if len(labels) > 40 else ''}."
    code = _USE[kind].format(input=(names["input"] or ["input"])[0])
    return Card(
        what=what,
        goes_in=_goes_in(kind, names, facts),
        how_to_use=f"{code}\npredicted = model.predict(table)",
        limits=f"The longest sequence in training had {longest:,} steps. "
        "A label, a word or a voice that training did not hold is guessed from what it resembles.",
    )


def _goes_in(kind: str, names: dict[str, Any], facts: dict[str, Any]) -> str:
    listed = ", ".join(f"`{column}`" for column in names["input"])
    order = f", ordered by `{names['step']}`" if names["step"] else ""
    ids = ", ".join(f"`{column}`" for column in names["item_id"])
    return {
        "text": f"A row for each text, in the column {listed}.",
        "tokens": f"A row for each list of tokens, in the column {listed}.",
        "audio": f"A row for each recording: its path in {listed}, or its `samples` and `sample_rate`. "
        f"It is resampled to {facts['input'].get('sample_rate', 0):,} Hz.",
        "numeric": f"A long table with a row for each step{f' of each {ids}' if ids else ''}{order}: {listed}.",
    }[kind]
