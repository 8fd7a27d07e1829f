#!/usr/bin/env python3
"""Ids of Hugging Face's tokenizers for texts with added tokens, in every combination of their flags:
scripts/make_added_token_goldens.py [TEXTS_EACH [SEED]] > tests/data/added_tokens.jsonl   (needs the package tokenizers; made with 0.23.3)
A line is {"tokens": [[text, id, flags]], "prefix_space": bool, "text": ..., "parsed": ids, "as_text": ids}; flags are those of src/text/added_tokens.h.
parsed: all added tokens are matched; as_text: special ones are not (encode_special_tokens)."""
import itertools, json, os, random, sys
from tokenizers import Tokenizer

BOOKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "books")
EACH = int(sys.argv[1]) if len(sys.argv) > 1 else 3
rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
FLAGS = ["special", "lstrip", "rstrip", "single_word", "normalized"]
CONTENTS = ["<|x|>", "covid", "co", "vid19", "covid19", " a", "  ", "\n", "é1", "<|x|><|x|>", "ab", "bc", "abc"]
PARTS = CONTENTS + ["the sea", " ", "   ", "\n\n", "\t", "\u00a0", "\u3000", "_", "9", "²", "é", "\u0301", "\u200d", "Ⅷ", "ⓐ", ".", "x", "A", "日本", "'s"]
vocab = json.load(open(BOOKS + "/vocab.json", encoding="utf8"))
merges = [line.rstrip("\n").split(" ") for line in open(BOOKS + "/merges.txt", encoding="utf8") if not line.startswith("#version")]


def tokenizer(tokens, prefix_space):
    level = {"type": "ByteLevel", "add_prefix_space": prefix_space, "trim_offsets": True, "use_regex": True}
    added = [dict({f: bool(flags >> i & 1) for i, f in enumerate(FLAGS)}, id=id, content=text) for text, id, flags in tokens]
    return Tokenizer.from_str(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None, "pre_tokenizer": level,
        "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": merges}}))


def ids(made, text, as_text):
    made.encode_special_tokens = as_text
    return made.encode(text).ids


for flags, prefix_space in itertools.product(range(32), [False, True]):
    for number in range(EACH):
        # Tokens of this combination beside some of another, so that both passes and shadowing are met.
        other = rng.randrange(32)
        chosen = rng.sample(CONTENTS, rng.randint(1, 6))
        tokens, new = [], 4096
        for i, text in enumerate(chosen):  # a text of the vocabulary keeps its id
            tokens.append([text, vocab.get(text, new), flags if i % 2 == 0 else other])
            new += text not in vocab
        made = tokenizer(tokens, prefix_space)
        for _ in range(1 if EACH < 10 else 10):
            text = "".join(rng.choice(chosen if rng.random() < 0.4 else PARTS) for _ in range(rng.randint(0, 12)))
            try:
                parsed, as_text = ids(made, text, False), ids(made, text, True)
            except BaseException as error:  # it panics where a token of white space stands in white space that rstrip took
                if "bad split" not in str(error):
                    raise
                continue
            print(json.dumps({"tokens": tokens, "prefix_space": prefix_space, "text": text, "parsed": parsed, "as_text": as_text},
                             ensure_ascii=False))
