"""Section `export`."""

from typing import Literal

from pydantic import Field

from reprotune.params.schema import Section

Quantisation = Literal["f16", "q8_0", "q4_0"]


class ExportParams(Section):
    """In which forms the fine-tuned model is written for other programs."""

    formats: list[Literal["gguf"]] = Field(max_length=1)
    """`gguf`: files for llama.cpp, Ollama and LM Studio; an empty list: none. transformers and vLLM read data/model."""
    quantisations: list[Quantisation] = Field(min_length=1, max_length=3)
    """How a GGUF file stores matrices, one file for each; the Modelfile takes the first. `f16`: float16; `q8_0`: 8.5
    bits a weight, nearly the same answers; `q4_0`: 4.5 bits, other answers."""

    @property
    def written(self) -> list[Quantisation]:
        """The GGUF files to write, each once."""
        return list(dict.fromkeys(self.quantisations)) if "gguf" in self.formats else []
