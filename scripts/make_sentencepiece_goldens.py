#!/usr/bin/env python3
"""Small SentencePiece BPE models, and what sentencepiece and Hugging Face's tokenizers make of texts with them:
scripts/make_sentencepiece_goldens.py OUT_DIR [TEXTS [SEED]]   (packages sentencepiece, tokenizers; made with 0.2.3 and 0.23.3
into tests/data/sentencepiece). OUT_DIR gets
  NAME.model   llama: bytes for unknown characters, a space before the text; gemma: no such space, user-defined pieces;
               plain: an unknown piece instead of bytes; unused: llama with equal scores and with unused pieces
  bpe.json     llama's pieces as the member "model" of a tokenizer.json
               types: llama with pieces of one letter that are unused, control or user-defined; gaps: the same of plain
  cases.jsonl  a line for each kind of tokenizer.json (its steps), then {"text", "crcs": {kind: crc32 of "1 2 3\\nDECODED"}}:
               kinds are the models and, behind them, the tokenizer.json's; those whose name ends in * read special tokens."""
import io, json, os, random, sys, zlib
import sentencepiece as spm
from tokenizers import Tokenizer

OUT = sys.argv[1]
TEXTS = int(sys.argv[2]) if len(sys.argv) > 2 else 420
rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
BOOKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "books")
words = [w.replace("Ġ", " ") for w in json.load(open(BOOKS + "/vocab.json", encoding="utf8")) if w.isascii() or w[0] == "Ġ"]
words = [w for w in words if w.isascii() and len(w) > 2]
train = random.Random(7)
corpus = ["".join(train.choice(words) for _ in range(30)) + train.choice(["  two", "\ttab", " 1861 ", " naïve café", "    four", "日本"])
          for _ in range(3000)]


def train_model(vocab_size, byte_fallback, prefix, user_defined):
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=out, model_type="bpe", vocab_size=vocab_size, byte_fallback=byte_fallback,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=prefix, split_digits=True,
        allow_whitespace_only_pieces=True, user_defined_symbols=user_defined, num_threads=1, minloglevel=2, character_coverage=1.0)
    return out.getvalue()


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def piece_message(text, score, kind):
    import struct
    body = b"\x0a" + varint(len(text.encode())) + text.encode() + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind)
    return b"\x0a" + varint(len(body)) + body


# The model with its pieces changed: what stands before the other fields.
def with_pieces(model, pieces):
    rest = model
    while rest[0] == 0x0A:
        assert rest[1] < 128
        rest = rest[2 + rest[1]:]
    return b"".join(piece_message(*p) for p in pieces) + rest


def pieces_of(model):
    sp = spm.SentencePieceProcessor(model_proto=model)
    kind = lambda i: 2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1
    return [(sp.id_to_piece(i), sp.get_score(i), kind(i)) for i in range(len(sp))]


models = {"llama": train_model(620, True, True, []),
          "gemma": train_model(600, True, False, ["<start_of_turn>", "▁▁", "▁▁▁▁", "\n\n", "<b>", "tw"]),
          "plain": train_model(330, False, True, ["<sep>", "▁the▁"])}
pieces = pieces_of(models["llama"])
models["unused"] = with_pieces(models["llama"], [
    (text, score if kind != 1 or len(text) == 1 else float(-(int(-score) // 8)), 5 if kind == 1 and len(text) > 1 and i % 3 == 0 else kind)
    for i, (text, score, kind) in enumerate(pieces)])



# Every third, fourth or fifth letter has another type.
def with_types(model):
    def kind_of(text, kind):
        if kind != 1 or len(text) > 1 or not text.isalpha():
            return kind
        return 5 if ord(text) % 3 == 0 else 3 if ord(text) % 4 == 0 else 4 if ord(text) % 5 == 0 else kind
    return with_pieces(model, [(text, score, kind_of(text, kind)) for text, score, kind in pieces_of(model)])


models["types"], models["gaps"] = with_types(models["llama"]), with_types(models["plain"])

ids = {text: i for i, (text, _, _) in enumerate(pieces)}
score = {text: s for text, s, kind in pieces if kind == 1}
merges = []
for text in score:
    ways = [(text[:i], text[i:]) for i in range(1, len(text)) if text[:i] in score and text[i:] in score]
    merges += [(score[text], way) for way in sorted(ways, key=lambda w: (ids[w[0]], ids[w[1]]))]
merges = [list(way) for _, way in sorted(merges, key=lambda m: -m[0])]
bpe = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
       "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": ids, "merges": merges}

REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
BACK = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
added = [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": n, "special": s}
         for i, c, n, s in [(0, "<unk>", False, True), (1, "<s>", False, True), (2, "</s>", False, True), (620, "<|im|>", False, True),
                            (621, "o'clock", True, False), (622, "lower", False, False)]]


def steps(normalizer, pre, strip):
    return {"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre,
            "decoder": {"type": "Sequence", "decoders": BACK + ([STRIP] if strip else [])}}


def metaspace(scheme):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": False}


prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, REPLACE]}
split = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
kinds = {"prepend": steps(prepend, None, True), "always": steps(None, metaspace("always"), True),
         "first": steps(None, metaspace("first"), True), "never": steps(None, metaspace("never"), False),
         "replace": steps(REPLACE, split, False)}
fast = {name: Tokenizer.from_str(json.dumps(dict(kind, version="1.0", truncation=None, padding=None, post_processor=None, model=bpe)))
        for name, kind in kinds.items()}
slow = {name: spm.SentencePieceProcessor(model_proto=model) for name, model in models.items()}

WORDS = ["the", "sea", "Captain", "lower", "two", "aaaaaaa", "o'clock", "naïve", "日本", "½", "1861", "tw", "abababab", "banana", "thethe", "ing"]
SPACES = [" ", "  ", "   ", "    ", "\n", "\r\n", "\n\n", " \n ", "\t", "▁", "▁▁", "\u00a0", "\u3000"]
MARKS = ["!", "--", "...", "'", "_", "é", "e\u0301", "😀", "\u200d", "\ufeff", "<b>", "<sep>", "☃", "☃☃", "<0x41>", "<start_of_turn>", "§"]
SPECIAL = ["<s>", "</s>", "<|im|>", "<unk>"]
texts = ["", " ", "▁", "a", " a", "  a", "a ", "☃", "<s>", "<s> a", "a<s>b", "a <|im|> b", "o'clock lower", " o'clock", "lower", " lower",
         "\n", "\t a", "the the  the   the"]
while len(texts) < TEXTS:
    groups = [WORDS, WORDS, WORDS, SPACES, SPACES, MARKS, words, words] + [SPECIAL] * (rng.random() < 0.2)
    texts.append("".join(rng.choice(rng.choice(groups)) for _ in range(rng.randint(1, 9))))


def crc(token_ids, decoded):
    return "%08x" % zlib.crc32((" ".join(map(str, token_ids)) + "\n" + decoded).encode())


for name, model in models.items():
    open(f"{OUT}/{name}.model", "wb").write(model)
json.dump(bpe, open(OUT + "/bpe.json", "w", encoding="utf8"), ensure_ascii=False, separators=(",", ":"))
with open(OUT + "/cases.jsonl", "w", encoding="utf8") as out:
    for name, kind in kinds.items():
        out.write(json.dumps(dict(kind=name, **kind), ensure_ascii=False) + "\n")
    for text in texts:
        crcs = {}
        for name, sp in slow.items():
            made = sp.encode(text)
            crcs[name] = crc(made, sp.decode(made).replace(" ⁇ ", "<unk>"))
        special = any(s in text for s in SPECIAL)
        for name, tokenizer in fast.items():
            made = tokenizer.encode(text, add_special_tokens=False).ids
            # Behind an added token gpt2 takes the space away that was put there, tokenizers does not.
            stretches = special or "lower" in text or "o'clock" in text
            crcs[name + ("*" if stretches else "")] = crc(made, "" if stretches else tokenizer.decode(made, skip_special_tokens=False))
        out.write(json.dumps({"text": text, "crcs": crcs}, ensure_ascii=False, separators=(",", ":")) + "\n")
