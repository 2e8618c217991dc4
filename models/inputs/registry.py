"""The registry of sequence inputs. A new one is a file beside this one and a line in each of the three below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.inputs.audio import AudioFacts, AudioInputConfig
from models.inputs.channels import NumericFacts, NumericInputConfig
from models.inputs.text import TextFacts, TextInputConfig
from models.inputs.tokens import TokensFacts, TokensInputConfig

InputFacts = Annotated[NumericFacts | TextFacts | TokensFacts | AudioFacts, Field(discriminator="kind")]

InputConfig = Annotated[
    NumericInputConfig | TextInputConfig | TokensInputConfig | AudioInputConfig, Field(discriminator="input")
]

INPUTS: dict[
    str, type[NumericInputConfig] | type[TextInputConfig] | type[TokensInputConfig] | type[AudioInputConfig]
] = {
    "numeric": NumericInputConfig,
    "text": TextInputConfig,
    "tokens": TokensInputConfig,
    "audio": AudioInputConfig,
}
