#!/usr/bin/env python3
"""Ids of Hugging Face's tokenizers by each split rule and normal form, on the vocabulary of models/books:
scripts/make_split_goldens.py [TEXTS [SEED]] > tests/data/split_cases.jsonl   (needs the package tokenizers; made with 0.23.3)
A line with "pre_tokenizer" describes the tokenizer of the lines behind it; these are {"text": ..., "ids": [...]}.
Where merges are ignored every third merge is missing, so that it shows."""
import json, os, random, sys
from tokenizers import Tokenizer

BOOKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "books")
TEXTS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
vocab = json.load(open(BOOKS + "/vocab.json", encoding="utf8"))
merges = [line.rstrip("\n").split(" ") for line in open(BOOKS + "/merges.txt", encoding="utf8") if not line.startswith("#version")]

HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def by_pattern(numbers):
    split = {"type": "Split", "pattern": {"Regex": HEAD + numbers + TAIL}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, dict(LEVEL, use_regex=False)]}


DIGITS = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, LEVEL]}
NFC = {"type": "NFC"}
KINDS = [("gpt2_digits", DIGITS, None, False), ("llama3", by_pattern(r"\p{N}{1,3}"), None, True),
         ("qwen2", by_pattern(r"\p{N}"), {"type": "Sequence", "normalizers": [NFC]}, False), ("gpt2", LEVEL, NFC, False)]
WORDS = ["the", "sea", "Captain", "I'm", "WE'LL", "don't", "'S", "'ſ", "'Re", "o'clock", "naïve", "日本", "Ⅷ", "½", "٣", "1", "42", "1861", "12345678"]
SPACES = [" ", "  ", "   ", "\n", "\r\n", "\n\n", " \n ", "\t", "\t\t", "\u00a0", "\u3000", "\u2028"]
MARKS = ["!", "?!", "--", "...", "'", "\"", "_", "é", "e\u0301", "\u0301", "a\u0323\u0307", "a\u0307\u0323", "\u212b", "\u1100\u1161\u11a8", "\uac00\u11a8",
         "\u0958", "\u2126", "😀", "\u200d", "\ufeff", "(x)", "e\u0302\u0301", "o\u031b\u0323", "\U0001d15e"]

for rule, pre, normalizer, ignore in KINDS:
    kept = [m for i, m in enumerate(merges) if not ignore or i % 3 != 2]
    kind = {"rule": rule, "normalizer": normalizer, "pre_tokenizer": pre, "ignore_merges": ignore}
    made = Tokenizer.from_str(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre,
        "post_processor": None, "decoder": LEVEL,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore, "vocab": vocab, "merges": kept}}))
    print(json.dumps(kind, ensure_ascii=False))
    for _ in range(TEXTS):
        text = "".join(rng.choice(rng.choice([WORDS, WORDS, SPACES, SPACES, MARKS])) for _ in range(rng.randint(1, 9)))
        print(json.dumps({"text": text, "ids": made.encode(text).ids}, ensure_ascii=False, separators=(",", ":")))
