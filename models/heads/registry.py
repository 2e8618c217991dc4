"""The registry of forecast heads. A new one is a file beside this one and a line below."""

from __future__ import annotations

from models.heads.decoder import DecoderHeadConfig
from models.heads.direct import DirectHeadConfig

HeadConfig = DirectHeadConfig | DecoderHeadConfig

HEADS: dict[str, type[DirectHeadConfig] | type[DecoderHeadConfig]] = {
    "direct": DirectHeadConfig,
    "decoder": DecoderHeadConfig,
}
