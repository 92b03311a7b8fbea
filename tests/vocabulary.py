"""Terms that this project does not use, what it says instead, and where their words are plain English."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Avoided:
    """A pattern for a private or translated term, the standard term, and a pattern for contexts where it is right."""

    pattern: str
    instead: str
    allowed: str = r"(?!)"


WORDS = (
    Avoided(r"\bpasses\b", "epochs", r"passes (through|to|it|them|the|a|on)\b|forward passes|test(s)? passes"),
    Avoided(r"\bbases?\b(?! model)", "base model",
            r"\w-base|base (class|address|URL|rate|64)|base(s)? of|base-|BASE|backends\.base"),
    Avoided(r"\bheld[- ]out\b", "validation or test"),
    Avoided(r"\bnats\b", "nats/token, with the perplexity", r"nats[/ ](per )?token"),
    Avoided(r"\bgo(es|ing)? on\b", "continue"),
    Avoided(r"\b(end|title|genre|start) marks?\b|\bmarkup\b", "special token, prompt format, end-of-sequence token",
            r"HTML markup|markup=|markup language"),
    Avoided(r"\bdraws\b|\brandom draws?\b|\bevery draw\b", "samples; random stream, random seed"),
    Avoided(r"\bevident\b", "shows its genre clearly; genre-weighted"),
    Avoided(r"\bfeed(s|ing)?\b", "packing; pass to", r"(RSS|line) feed|feed-forward"),
    Avoided(r"\bin circles\b", "repetition rate, repetitive"),
    Avoided(r"\bnot ended\b|\bno end\b(?! of)|\bdid not end\b|\bcome to an end\b", "truncated"),
    Avoided(r"\b(learned|knows|known) by heart\b", "overfitting, memorization"),
    Avoided(r"\btorn\b|\btears\b", "crosses splits", r"in tears|(with|her|his|of) tears"),
    Avoided(r"\b(that|what|which|ones?) ships?\b", "pretrained; included in the package"),
    Avoided(r"\brandom windows?\b|\bwindows of\b|\bof windows\b", "random crops"),
    Avoided(r"\brounded to \w+ bits\b|\bcompress(ed)? (a|the) (classifier|model)\b", "quantized"),
    Avoided(r"\bsent away\b|\blooked into\b", "rejected; analyzed"),
    Avoided(r"\bwilder\b|\blikeliest\b", "more random; most probable"),
    Avoided(r"\bruns? of (four|\d+|words)\b|\blongest (copied )?run\b", "novel 4-grams; longest verbatim span"),
    Avoided(r"\bword pairs\b", "bigrams; distinct-2"),
    Avoided(r"\bhid(e|es|den|ing) (some |a share of )?words\b|\bguess(es|ing)? (the )?hidden\b", "masked tokens; MLM"),
    Avoided(r"\blike real plots\b", "MAUVE"),
    Avoided(r"\buneven genres\b", "class imbalance"),
    Avoided(r"\bdifferent word pairs\b", "distinct-2"),
    Avoided(r"\bso many\b", "this number of, up to n", r"so many that"),
    Avoided(r"\bnear to (none|nothing)\b", "has no nearest plot"),
    Avoided(r"\bbrings? along\b|\bbrought along\b", "comes with"),
    Avoided(r"\btwins?\b", "duplicates", r"twin (brother|sister|boys|girls)|\btwins (who|of|are|is)|twin "),
    Avoided(r"\bkeepers?\b", "store", r"(lighthouse|goal|bee|shop|inn|game|zoo|time)[ -]?keepers?"),
    Avoided(r"\bfront door\b|\bdoor of\b", "public API; authentication", r"(at|to) the front door"),
    Avoided(r"\b(is|are|was|were) no (?!longer|more\b|less|way|need|such|one|better|\w+ (left|to|for|in|at|of|that))",
            "is not a …", r"(?i)\b(there|here) (is|are|was|were) no\b"),
    Avoided(r"\bstatus [0-9]+\b", "exit code; HTTP status code", r"HTTP status"),
    Avoided(r"\bdecoders?\b", "backend", r"encoder-decoder|image decoder|JSON decoder"),
    Avoided(r"\blikeness\b", "similarity"),
    Avoided(r"\b(Killed|Interrupted|Stopped), (it|each|they)\b", "If interrupted, … resumes"),
    Avoided(r"\b(models?|generators?|classifiers?|it|they) (that )?(has|have) read\b|\bread what\b", "was trained on"),
    Avoided(r"\bnear(er|est)? by meaning\b", "most similar by embedding"),
    Avoided(r"\bthe next leave\b|\bsure to about\b|\bspeak(s)? for\b", "say it directly"),
    Avoided(r"\btold apart\b|\btell(s|ing)? apart\b", "distinguish"),
    Avoided(r"\btaken? apart\b", "parse, split"),
    Avoided(r"\bsays? so\b", "the message says"),
    Avoided(r"\b(in|of) the (field's|project's) words\b", "name the terms"),
    Avoided(r"\bso that nothing be\b|\bthat nothing be\b", "so that nothing is"),
    Avoided(r"\bwhat (stands|lies) there\b|\bstands? there\b", "what already exists"),
    Avoided(r"\b[Ww]hoever\b", "name the reader"),
    Avoided(r"\b[Bb]eside\b", "next to, compared with"),
    Avoided(r"\bin a row\b", "consecutive", r"1 in a row"),
    Avoided(r"\banew\b", "again, new"),
    Avoided(r"\bat once\b", "immediately; at the same time; per forward pass"),
    Avoided(r"\bheld against\b|\bin the eyes of\b", "compared with; predicted by"),
    Avoided(r"\bcut off\b|\bcut short\b", "truncated, incomplete"),
    Avoided(r"\bhidden (words?|tokens?)\b", "masked tokens"),
    Avoided(r"\bmend(s|ed|ing)?\b", "repair"),
    Avoided(r"\bstand-ins?\b", "replacement", r"Stand-ins? for"),
    Avoided(r"\bhand(s|ed)? out\b|\bdealt out\b", "return; shuffle"),
    Avoided(r"\bby meaning\b", "by embedding similarity"),
    Avoided(r"\bancestors?\b", "predecessors, earlier trainings"),
    Avoided(r"\bobey(s|ed|ing)?\b", "follow; genre accuracy"),
    Avoided(r"\bnearness\b", "similarity"),
    Avoided(r"\bbrought back\b", "restored"),
    Avoided(r"\b(a|one) (second|minute)\b(?= (together|alone|on))", "per second"),
    Avoided(r"\bis none of\b|\bthere is none of\b", "is not one of"),
)  # fmt: skip


def found(text: str) -> list[str]:
    """Every use of a term outside its allowed contexts, as a line with some words around it."""
    text = " ".join(text.split())
    hits = []
    for word in WORDS:
        fine = [match.span() for match in re.finditer(word.allowed, text)]
        for match in re.finditer(word.pattern, text):
            if not any(start <= match.start() < end or match.start() <= start < match.end() for start, end in fine):
                around = text[max(0, match.start() - 40) : match.end() + 30]
                hits.append(f"…{around}…  ->  {word.instead}")
    return hits
