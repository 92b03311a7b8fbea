"""The prompt format: a training example as text and as tokens.

    with titles      horror<|endofgenre|>"Salt" (2009) {Low Tide (#1.3)}<|endoftitle|>The sea gives back …<|endoftext|>
    without titles   <|startoftext|>horror<|endofgenre|>The sea gives back …<|endoftext|>

Tokens are put together piece by piece, never by tokenising the marks' text: a mark is one token, whichever that is in
the base model's vocabulary. A base with unused special tokens (SmolLM2) lends them as stand-ins, so its vocabulary
and embeddings stay as they are and a fine-tuned adapter stays small; other bases (GPT-2) get new tokens.

To the model every example starts with the end mark, which texts do not show: whatever stands first becomes the anchor
of all attention (Xiao et al. 2023), and hardly anything of what it was is left. In SmolLM2 the hidden states of
`western` and `horror` in the first place have a cosine of 1.00 from its fifteenth layer on, behind an end mark of 0.8.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movieplots.errors import BadInput
from movieplots.files import read_json
from movieplots.generation.info import GeneratorInfo

START, END_OF_GENRE, END_OF_TITLE, END = "<|startoftext|>", "<|endofgenre|>", "<|endoftitle|>", "<|endoftext|>"
# In dumps of gpt-2-simple these stand for END_OF_GENRE and END_OF_TITLE; the project reads them and never writes them.
SIMPLE_END_OF_GENRE, SIMPLE_END_OF_TITLE = "|0|", "|1|"

# SmolLM2's unused tokens share one embedding vector, so with tied embeddings the model could not tell them apart in
# its output. Of those listed, the one for the title's end, the only mark besides END that is ever predicted, has a
# vector of its own.
_STAND_INS = {START: "<repo_name>", END_OF_GENRE: "<file_sep>", END_OF_TITLE: "<filename>"}


def format_sample(titles: bool, genre: str, title: str, plot: str, truncated: bool = False) -> str:
    """One example or sample as a line of text; a truncated one lacks the end mark."""
    text = f"{genre}{END_OF_GENRE}{title}{END_OF_TITLE}{plot}" if titles else f"{START}{genre}{END_OF_GENRE}{plot}"
    return text if truncated else text + END


@dataclass(frozen=True)
class Example:
    """Token ids of one training example; labels are -100 up to the end of the genre, which is given, not learned.

    `contrast` is the same text behind another genre.
    """

    input_ids: list[int]
    labels: list[int]
    contrast: "Example | None" = None

    def __len__(self) -> int:
        """The tokens, its own or those of its contrast, whichever are more."""
        return max(len(self.input_ids), 0 if self.contrast is None else len(self.contrast))


class SavedTokenizer:
    """What `PromptTokenizer` needs of a tokenizer that was saved in a model's folder, without importing transformers.

    That import brings torch along and takes seconds; a generator that llama.cpp decodes needs neither.
    """

    def __init__(self, folder: str | Path) -> None:
        from tokenizers import Tokenizer

        files = [Path(folder) / name for name in ("tokenizer.json", "tokenizer_config.json")]
        try:
            self.backend_tokenizer = Tokenizer.from_file(str(files[0]))
        except Exception:  # the library raises no narrower one
            raise BadInput(f"{files[0]} is missing or damaged: train the model again with --overwrite.") from None
        self.backend_tokenizer.encode_special_tokens = True  # a mark that stands in a text is only text
        named = read_json(files[1], "train the model again with --overwrite")
        end = named.get("eos_token")
        end = end["content"] if isinstance(end, dict) else end
        self.eos_token_id = None if end is None else self.backend_tokenizer.token_to_id(end)

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        return self.backend_tokenizer.get_added_tokens_decoder()

    @property
    def all_special_ids(self) -> list[int]:
        return [i for i, token in self.added_tokens_decoder.items() if token.special]

    def get_vocab(self) -> dict[str, int]:
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def add_special_tokens(self, tokens: dict[str, list[str]], **_: Any) -> None:
        for names in tokens.values():
            self.backend_tokenizer.add_special_tokens(names)

    def convert_tokens_to_ids(self, token: str) -> int | None:
        return self.backend_tokenizer.token_to_id(token)

    def encode(self, text: str, **_: Any) -> list[int]:
        return self.backend_tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        return self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)


class PromptTokenizer:
    """Turns (genre, title, plot) into token ids and sampled token ids back into (title, plot).

    `tokenizer` is the base's own; with `titles` a title stands between genre and plot. `new_tokens` are the ids of
    marks that it had to be given (rows of the embedding matrix that need training), empty where stand-ins serve.
    `anchored` is False for models that were trained when examples did not yet start with the end mark.
    """

    def __init__(self, tokenizer: Any, titles: bool, anchored: bool = True) -> None:
        self.tokenizer = tokenizer
        self.titles = titles
        self.anchored = anchored
        vocabulary = tokenizer.get_vocab()
        if END in vocabulary:
            self.end = vocabulary[END]
        elif tokenizer.eos_token_id is not None:
            self.end = tokenizer.eos_token_id
        else:
            raise BadInput("The base model's tokenizer has no end token: give it an eos_token, or choose another base.")
        self.new_tokens: list[int] = []
        if all(token in vocabulary for token in _STAND_INS.values()):
            self.marks = {mark: vocabulary[token] for mark, token in _STAND_INS.items()}
        else:
            marks = [END_OF_TITLE if titles else START, END_OF_GENRE]
            tokenizer.add_special_tokens({"additional_special_tokens": marks}, replace_extra_special_tokens=False)
            self.marks = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in marks}
            self.new_tokens = sorted(self.marks.values())
        self.end_of_title: int | None = self.marks[END_OF_TITLE] if titles else None

    @classmethod
    def of(cls, tokenizer: Any, info: GeneratorInfo) -> "PromptTokenizer":
        """That of a trained model, from its `movieplots.json`."""
        return cls(tokenizer, info.titles, info.anchored)

    @property
    def ends(self) -> list[int]:
        """Ids that end a title or the text."""
        return [self.end] if self.end_of_title is None else [self.end_of_title, self.end]

    @property
    def suppressed(self) -> list[int]:
        """Ids that must never be sampled: every special token that ends neither a title nor the text."""
        allowed = set(self.ends)
        special = {*self.tokenizer.all_special_ids, *self.marks.values()}
        special |= {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        return sorted(special - allowed)

    @property
    def suppressed_in_plot(self) -> list[int]:
        """Ids that must never be sampled once there is a title: every special token that does not end the text."""
        return self.suppressed if self.end_of_title is None else sorted([*self.suppressed, self.end_of_title])

    def prompt(self, genre: str, title: str | None = None, opening: str = "") -> list[int]:
        """Ids up to where the model goes on: after the genre, after the title (`title` given) or after the opening."""
        ids = [self.end] if self.anchored else []
        if not self.titles:
            ids.append(self.marks[START])
        ids += [*self.encode(genre), self.marks[END_OF_GENRE]]
        if self.titles and title is not None:
            ids += [*self.encode(title), self.marks[END_OF_TITLE]]
        return ids + self.encode(opening)

    def example(self, genre: str, title: str, plot: str, max_tokens: int) -> Example:
        """The ids and labels of a training example, cut to `max_tokens` (a cut example has no end token)."""
        given = self.prompt(genre)
        ids = [*self.prompt(genre, title if self.titles else None, plot), self.end][:max_tokens]
        return Example(ids, ([-100] * len(given) + ids[len(given) :])[: len(ids)])

    def read(self, ids: list[int], has_title: bool) -> tuple[str, str, bool]:
        """Sampled ids (after the genre, or with `has_title` after the title) -> (title, plot, truncated).

        A sample whose title never ended has that title and an empty plot.
        """
        truncated = self.end not in ids
        if not truncated:
            ids = ids[: ids.index(self.end)]
        title: list[int] = []
        if self.end_of_title is not None and not has_title:
            if self.end_of_title not in ids:
                return self._words(ids), "", True
            at = ids.index(self.end_of_title)
            title, ids = ids[:at], ids[at + 1 :]
        return self._words(title), self._words(ids), truncated

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; a mark that stands in it is spelled out, never taken for a mark."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) if text else []

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files, the vocabulary without the blanks and line ends that more than double it."""
        self.tokenizer.save_pretrained(folder)
        if hasattr(self.tokenizer, "backend_tokenizer"):  # some old models have a tokenizer in Python, and no such file
            self.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)

    def _words(self, ids: list[int]) -> str:
        """Text on one line, as a dump needs it."""
        return " ".join(self.tokenizer.decode(ids, skip_special_tokens=True).split())
