"""The options of writing a generator as GGUF."""

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from movieplots.errors import BadInput
from movieplots.generation.sampling_settings import Generator
from movieplots.settings import Option, Settings

TYPES = ("f32", "f16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


@dataclass(frozen=True)
class ExportSettings(Settings):
    """The options of `export_gguf`."""

    command_name: ClassVar[str] = "export"

    model: Generator
    output: Annotated[str | Path, Option("File to write, FILE.gguf.", short="-o", decides=False)]
    _: KW_ONLY
    type: Annotated[
        str | None,
        Option(f"Type of the weights: {', '.join(TYPES)}.", choices=TYPES, default="q8_0, or f16 for an adapter"),
    ] = None
    adapter: Annotated[bool, Option("Only the LoRA adapter, for the GGUF file of `smollm2-135m`.")] = False

    def check(self) -> None:
        if self.adapter and self.type:
            raise BadInput("An adapter is always written in 16 bits: leave out --type, or --adapter.")
