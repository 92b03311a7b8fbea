"""The prompt format: training examples as text and as tokens.

    with titles      horror<|endofgenre|>"Salt" (2009) {Low Tide (#1.3)}<|endoftitle|>The sea gives back …<|endoftext|>
    without titles   <|startoftext|>horror<|endofgenre|>The sea gives back …<|endoftext|>

Each special token is one id of the base model's vocabulary, and examples are joined from ids, not by tokenizing the
special tokens' text. SmolLM2 has unused special tokens, which serve here under other names, so its vocabulary and
embeddings do not change and an adapter stays small. Other base models, such as GPT-2, get new tokens.

Each example also starts with the end-of-sequence token, which the text form omits. The first token becomes an attention
sink (Xiao et al. 2023, https://arxiv.org/abs/2309.17453) and keeps little information about itself. In SmolLM2 the
hidden states of `western` and `horror` in first position have a cosine similarity of 1.00 from the fifteenth layer;
after an end-of-sequence token it is 0.8.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from movieplots.errors import BadInput
from movieplots.files import read_json
from movieplots.generation.info import GeneratorInfo

START, END_OF_GENRE, END_OF_TITLE, END = "<|startoftext|>", "<|endofgenre|>", "<|endoftitle|>", "<|endoftext|>"
# Used by gpt-2-simple instead of END_OF_GENRE and END_OF_TITLE; the project reads such dumps, but does not write them.
SIMPLE_END_OF_GENRE, SIMPLE_END_OF_TITLE = "|0|", "|1|"

# SmolLM2's unused tokens. Most share one embedding vector, so with tied embeddings the model could not distinguish them
# in its output. `<filename>` has its own vector, so it serves as END_OF_TITLE, the only special token besides END that
# is predicted.
_UNUSED_TOKENS = {START: "<repo_name>", END_OF_GENRE: "<file_sep>", END_OF_TITLE: "<filename>"}


def format_sample(titles: bool, genre: str, title: str, plot: str, truncated: bool = False) -> str:
    """Return an example or sample as a line of text, without the end-of-sequence token if it is truncated."""
    text = f"{genre}{END_OF_GENRE}{title}{END_OF_TITLE}{plot}" if titles else f"{START}{genre}{END_OF_GENRE}{plot}"
    return text if truncated else text + END


@dataclass(frozen=True)
class Example:
    """Token ids of one training example.

    `labels` are -100 up to the end-of-genre token, so the genre prompt carries no loss. `contrast` is the same text
    with another genre as its prompt.
    """

    input_ids: list[int]
    labels: list[int]
    contrast: "Example | None" = None

    def __len__(self) -> int:
        """Return the number of tokens of the example or of its contrast, whichever is larger."""
        return max(len(self.input_ids), 0 if self.contrast is None else len(self.contrast))


class SavedTokenizer:
    """A tokenizer loaded from a model's folder without transformers, with the methods that `PromptTokenizer` needs.

    Importing transformers also imports torch and takes seconds; the llama.cpp backend needs neither.
    """

    def __init__(self, folder: str | Path) -> None:
        from tokenizers import Tokenizer

        files = [Path(folder) / name for name in ("tokenizer.json", "tokenizer_config.json")]
        try:
            self.backend_tokenizer = Tokenizer.from_file(str(files[0]))
        except Exception:  # the library raises no more specific exception
            raise BadInput(f"{files[0]} is missing or damaged: train the model again with --overwrite.") from None
        self.backend_tokenizer.encode_special_tokens = True  # encodes special tokens inside a text as plain text
        named = read_json(files[1], "train the model again with --overwrite")
        end = named.get("eos_token")
        end = end["content"] if isinstance(end, dict) else end
        self.eos_token_id = None if end is None else self.backend_tokenizer.token_to_id(end)

    # The names below are those of transformers' tokenizers.

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        """Added tokens by id."""
        return self.backend_tokenizer.get_added_tokens_decoder()

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens."""
        return [i for i, token in self.added_tokens_decoder.items() if token.special]

    def get_vocab(self) -> dict[str, int]:
        """Return the id of each token, added tokens included."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def add_special_tokens(self, tokens: dict[str, list[str]], **_: Any) -> None:
        """Add special tokens to the vocabulary."""
        for names in tokens.values():
            self.backend_tokenizer.add_special_tokens(names)

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """Return the id of a token, None if it is unknown."""
        return self.backend_tokenizer.token_to_id(token)

    def encode(self, text: str, **_: Any) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        return self.backend_tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        """Return the text of token ids."""
        return self.backend_tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)


class PromptTokenizer:
    """Converts genre, title and plot to token ids, and sampled token ids back to title and plot.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase or SavedTokenizer
        Tokenizer of the base model. Special tokens that it lacks are added to it.
    titles : bool
        Whether a title stands between genre and plot.
    anchored : bool, default True
        Whether each example starts with the end-of-sequence token. False only for old models.

    Attributes
    ----------
    end : int
        Id of the end-of-sequence token.
    end_of_title : int or None
        Id of the end-of-title token, None without titles.
    special_tokens : dict of str to int
        Ids of the prompt format's other special tokens by name.
    new_tokens : list of int
        Ids that were added to the vocabulary; their embedding rows need training.
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
            raise BadInput(
                "The base model's tokenizer lacks an end-of-sequence token: set its eos_token, or choose another base "
                "model."
            )
        self.new_tokens: list[int] = []
        if all(token in vocabulary for token in _UNUSED_TOKENS.values()):
            self.special_tokens = {name: vocabulary[token] for name, token in _UNUSED_TOKENS.items()}
        else:
            names = [END_OF_TITLE if titles else START, END_OF_GENRE]
            tokenizer.add_special_tokens({"additional_special_tokens": names}, replace_extra_special_tokens=False)
            self.special_tokens = {name: tokenizer.convert_tokens_to_ids(name) for name in names}
            self.new_tokens = sorted(self.special_tokens.values())
        self.end_of_title: int | None = self.special_tokens[END_OF_TITLE] if titles else None

    @classmethod
    def of(cls, tokenizer: Any, info: GeneratorInfo) -> "PromptTokenizer":
        """Return the prompt tokenizer of a trained model with this `movieplots.json`."""
        return cls(tokenizer, info.titles, info.anchored)

    @property
    def end_tokens(self) -> list[int]:
        """Ids of the end-of-title token, if there are titles, and of the end-of-sequence token."""
        return [self.end] if self.end_of_title is None else [self.end_of_title, self.end]

    @property
    def suppressed(self) -> list[int]:
        """Ids that must never be sampled: all special tokens except the `end_tokens`."""
        allowed = set(self.end_tokens)
        special = {*self.tokenizer.all_special_ids, *self.special_tokens.values()}
        special |= {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        return sorted(special - allowed)

    @property
    def suppressed_in_plot(self) -> list[int]:
        """Ids that must never be sampled after the title: all special tokens except the end-of-sequence token."""
        return self.suppressed if self.end_of_title is None else sorted([*self.suppressed, self.end_of_title])

    def prompt(self, genre: str, title: str | None = None, opening: str = "") -> list[int]:
        """Return the ids of a prompt, which consists of the genre, the title if given, and the opening."""
        ids = [self.end] if self.anchored else []
        if not self.titles:
            ids.append(self.special_tokens[START])
        ids += [*self.encode(genre), self.special_tokens[END_OF_GENRE]]
        if self.titles and title is not None:
            ids += [*self.encode(title), self.special_tokens[END_OF_TITLE]]
        return ids + self.encode(opening)

    def example(self, genre: str, title: str, plot: str, max_tokens: int) -> Example:
        """Return a training example, truncated to `max_tokens`; a truncated one lacks the end-of-sequence token."""
        given = self.prompt(genre)
        ids = [*self.prompt(genre, title if self.titles else None, plot), self.end][:max_tokens]
        return Example(ids, ([-100] * len(given) + ids[len(given) :])[: len(ids)])

    def read(self, ids: list[int], has_title: bool) -> tuple[str, str, bool]:
        """Convert sampled ids to (title, plot, truncated).

        The ids follow the genre, or with `has_title` the title, which is then returned empty. Without an end-of-title
        token all text belongs to the title, and the plot is empty.
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
        """Return the ids of plain text; names of special tokens inside it are encoded as plain text."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) if text else []

    def save(self, folder: Path) -> None:
        """Write the tokenizer's files, with `tokenizer.json` unindented, which more than halves it."""
        self.tokenizer.save_pretrained(folder)
        if hasattr(self.tokenizer, "backend_tokenizer"):  # slow tokenizers have none
            self.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)

    def _words(self, ids: list[int]) -> str:
        """Decode ids to text on one line."""
        return " ".join(self.tokenizer.decode(ids, skip_special_tokens=True).split())
