"""Sentences as tokens, and a transformer that makes one vector of each: the text half of CLIP and SigLIP."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vit_course.models.blocks import ACTIVATIONS, EncoderBlock


class WordTokenizer:
    """One number a word, for the small language of our captions: texts -> int64 (B, context_length).

    A row is a start token, the words, an end token, and padding. Real models cut rare words into pieces, so that they
    never meet an unknown one (byte-pair encoding, SentencePiece); with thirty words there is nothing to cut.

    >>> tokenizer = WordTokenizer.of(captions)
    >>> tokens = tokenizer(["a small red star", "a blue ring"])

    Args:
        words: the vocabulary. Words are compared in lower case.
        context_length: tokens a row, start and end included.
    """

    PAD, START, END = 0, 1, 2

    def __init__(self, words: Iterable[str], context_length: int) -> None:
        self.words = ["<pad>", "<start>", "<end>", *sorted({word.lower() for word in words})]
        self.numbers = {word: number for number, word in enumerate(self.words)}
        self.context_length = context_length

    @classmethod
    def of(cls, captions: Sequence[str]) -> "WordTokenizer":
        """The tokenizer with all words of `captions`, and room for the longest.

        Raises:
            ValueError: no captions.
        """
        if not captions:
            raise ValueError("there are no captions to take words from: load the data with captions=True")
        split = [caption.lower().split() for caption in captions]
        return cls((word for words in split for word in words), context_length=max(map(len, split)) + 2)

    def __len__(self) -> int:
        return len(self.words)

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """Texts as tokens, int64 (B, context_length); one text is a batch of one.

        Raises:
            ValueError: an empty text, an unknown word, or more words than there is room for.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        return torch.tensor([self._row(text) for text in texts]).view(len(texts), self.context_length)

    def _row(self, text: str) -> list[int]:
        words, room = text.lower().split(), self.context_length - 2
        if not words:
            raise ValueError("a text is empty: give at least one word")
        if len(words) > room:
            raise ValueError(f"{text!r} has {len(words)} words, but there is room for {room}: shorten it")
        for word in words:
            if word not in self.numbers or word.startswith("<"):
                known = self.words[3:]
                near = difflib.get_close_matches(word, known, n=3) or known
                raise ValueError(f"{word!r} in {text!r} is not in the vocabulary: use words such as {', '.join(near)}")
        row = [self.START, *(self.numbers[word] for word in words), self.END]
        return row + [self.PAD] * (self.context_length - len(row))

    def decode(self, tokens: Tensor) -> list[str]:
        """The texts of tokens (B, context_length), start, end and padding left out."""
        return [" ".join(self.words[number] for number in row if number > self.END) for row in tokens.tolist()]


@dataclass(frozen=True)
class TextConfig:
    """What a text encoder is built from.

    Raises:
        ValueError: a size below 1, dim not a multiple of num_heads, or an unknown pool or activation.
    """

    vocab_size: int
    context_length: int
    dim: int = 512
    depth: int = 12
    num_heads: int = 8
    mlp_ratio: float = 4.0  # hidden width of the MLPs, in dims
    activation: Literal["gelu", "gelu_tanh", "quick_gelu"] = "gelu"
    norm_eps: float = 1e-5
    pool: Literal["end", "last"] = "end"  # CLIP: the end token, behind a causal mask; SigLIP: the last place, no mask
    end_token: int | None = WordTokenizer.END  # None: the highest number of each text, as in OpenAI's code

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "dim", "depth", "num_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: use 1 or more")
        if self.dim % self.num_heads:
            raise ValueError(f"dim {self.dim} is not a multiple of num_heads {self.num_heads}: change one of them")
        if self.pool not in ("end", "last"):
            raise ValueError(f"pool={self.pool!r} is unknown: use end or last")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation={self.activation!r} is unknown: use one of {', '.join(ACTIVATIONS)}")


class TextEncoder(nn.Module):
    """A transformer over words: tokens int64 (B, L) -> one vector a text (B, dim).

    The same blocks as the ViT's. With pool="end" a token sees itself and those before it (Radford et al. 2021,
    arXiv:2103.00020, section 2.4), so the end token is the first that has seen the whole text; with pool="last" all
    see all, padding too, and the last place answers (Zhai et al. 2023, arXiv:2303.15343, and its published code).

    Raises:
        ValueError: in `forward`, more tokens than context_length, a number outside the vocabulary, or, with
            pool="end", a row without the end token.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = c = config
        self.token_embed = nn.Embedding(c.vocab_size, c.dim)
        self.pos_embed = nn.Parameter(torch.empty(1, c.context_length, c.dim))
        self.blocks = nn.ModuleList(
            EncoderBlock(
                dim=c.dim, num_heads=c.num_heads, mlp_ratio=c.mlp_ratio, activation=c.activation, norm_eps=c.norm_eps
            )
            for _ in range(c.depth)
        )
        self.norm = nn.LayerNorm(c.dim, eps=c.norm_eps)
        causal = torch.ones(c.context_length, c.context_length, dtype=torch.bool).tril()
        self.register_buffer("causal", causal if c.pool == "end" else None, persistent=False)
        for weight, std in ((self.token_embed.weight, 0.02), (self.pos_embed, 0.01)):  # as CLIP's published code
            nn.init.normal_(weight, std=std)

    def features(self, tokens: Tensor) -> Tensor:
        """Every token after the last block and its norm: (B, L) -> (B, L, dim)."""
        length = tokens.shape[1]
        if length > self.config.context_length:
            raise ValueError(f"texts have {length} tokens, but there is room for {self.config.context_length}")
        if not 0 <= tokens.min() <= tokens.max() < self.config.vocab_size:
            raise ValueError(
                f"tokens lie in {tokens.min()}…{tokens.max()}, but the vocabulary is 0 to {self.config.vocab_size - 1}"
            )
        x = self.token_embed(tokens) + self.pos_embed[:, :length]  # (B, L, D)
        mask = None if self.causal is None else self.causal[:length, :length]
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.features(tokens)
        if self.config.pool == "last":
            return x[:, -1]
        end = self.config.end_token
        ends = tokens == (tokens.amax(dim=1, keepdim=True) if end is None else end)  # (B, L)
        if not ends.any(dim=1).all():
            raise ValueError(f"a text has no end token, {self.config.end_token}: it shows where to read the answer")
        return x[torch.arange(len(x), device=x.device), ends.int().argmax(dim=1)]

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves out, besides biases and norms."""
        return {"token_embed.weight", "pos_embed"}
