#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Expected token ids of small tokenizers of each family: tests/vectors/tokenizers/*.

    tools/make_tokenizer_vectors.py        writes them; needs the packages tokenizers, sentencepiece

The vocabularies are trained here, on the sentences below; the pre-tokenizers and normalizers are
those that the families publish, and the ids are what the packages say. The README in the folder
says what each file has.
"""
import io
import json
import random
import unicodedata
from pathlib import Path

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "tokenizers"

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + ENDS
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + ENDS
UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
GPT4O = (rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{CONTRACTIONS}?"
         rf"|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{CONTRACTIONS}?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + ENDS)

SENTENCES = [
    "The gardener's ladder won't reach the third branch, so we'll borrow one.",
    "HE'S SURE THEY'VE SEEN IT; I'd say she'll agree, and we're done by 12:30.",
    "for (int i = 0; i < 1024; ++i) {\n    total += rows[i] * 3.14159;\n}\n",
    "Prices rose from 1,250 to 98765 in 2019, then fell by 3/4.\n\n\nNobody knew why...",
    "def add(a, b):\n\treturn a + b  # adds\r\n\r\n",
    "Die Bäume blühen früh; l'été est déjà là, y el niño también está aquí.",
    "Мама мыла раму, а кот спал на окне. Ёлка зелёная.",
    "山の上に古い寺がある。今日は静かだ。",
    "สวัสดีครับ นี่คือประโยคสั้น ๆ",
    "नमस्ते, यह एक छोटा वाक्य है।",
    "مرحبا، هذه جملة قصيرة.",
    "Some   spaces    and\ttabs \t mixed,  then a line end  \n  and more.",
    "HelloWorld camelCase XMLParser IOError iPhone McDonald's O'Neil's ABCs",
    "price=$5.00/unit // see https://example.org/a/b?c=d&e=f#top",
    "😀 smiles, 👩‍👩‍👧 families and ✈️ planes – “quoted” text…",
]
CASES = [
    "", " ", "  ", "\n", "\n\n", "\t\t", " \n \r\n  ", "a", " a", "a ", "  a  b  ", "I'LL we'Re 'ſ",
    "1", "12", "123", "1234", "12345 67", "  42", " 7 ", "x1y22z333", "½ ⅔ ²³ Ⅳ ٣٤٥", "3.14e-10",
    "don't DON'T can´t it’s", "hello world", "Hello, World!!\n\n\tEnd.", "ABCdef GHIjkl",
    "ÀÉî Ǆ ǅ ǆ ʰa",
    "e\u0301e\u0301 \u0301", "a\u00a0b\u3000c\u2003\u2028d\u0085e\u180ef", "http://a/b//c/\n/",
    "/// \n/\r\n",
    "a\r\nb\rc\n\rd", "____init__  --flag=1 ++i;", "日本語 123 テスト", "👩‍👩‍👧‍👦 ok", "\x00\x01\x7f",
    "<start_of_turn>user\nhi<end_of_turn>\n",
    "<|user|>\n hi <|end|> \n\n<|assistant|>  yes</s>  no",
    "▁▁ text▁", "é <0x41> <unk> <s>",
]


def random_texts(count, seed):
    """Letters, digits, marks and spaces often, else any character assigned in Unicode."""
    chooser = random.Random(seed)
    assigned = [chr(point) for point in range(0x110000)
                if unicodedata.category(chr(point)) not in ("Cn", "Cs", "Co")]
    common = "aeinorst AEST  \n\r\t'/.,-019"
    blocks = ["äöüßéèêñçǅ", "абвгд АБВ", "עברית", "हिन्दी।", "日本語の文", "٠١٢٣", "ⅣⅤ½²",
    "\u3000\u00a0\u2003"]
    texts = []
    for _ in range(count):
        pools = [common, common, chooser.choice(blocks), assigned]
        texts.append("".join(chooser.choice(chooser.choice(pools))
                             for _ in range(chooser.randint(1, 40))))
    return texts


def byte_level():
    """One vocabulary whose merges cross any word's border, so that ids show where words are cut."""
    split = {
        "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        "smollm": pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
    }
    for name, pattern, behavior in (("llama-bpe", LLAMA3, "isolated"), ("qwen2", QWEN2, "isolated"),
                                    ("gpt-4o", GPT4O, "removed")):
        split[name] = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), behavior, invert=behavior == "removed"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    windows = [text[start:start + 12] for text in SENTENCES for start in range(0, len(text), 5)]
    tokenizer.train_from_iterator(windows, trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken("<|begin|>", special=True),
                                  AddedToken("<|over|>", special=True, rstrip=True),
                                  AddedToken("<|left|>", special=True, lstrip=True)])
    tokenizer.add_tokens([AddedToken("<tool>", special=False)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))])
    texts = CASES + random_texts(80, 1)
    marked = ["<|begin|>a<tool>b", "a \n<|over|> \n b", "a  <|left|>  b",
    "x<|over|>\u3000\u00a0y<|left|>",
              "<|over|>  <|left|>", " <tool> 12"]
    families = {}
    for name, pre_tokenizer in split.items():
        tokenizer.pre_tokenizer = pre_tokenizer
        encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        cuts = []
        for text in texts:
            words = [text[start:end] for _, (start, end) in pre_tokenizer.pre_tokenize_str(text)]
            assert "".join(words) == text
            cuts.append([len(word.encode()) for word in words])
        families[name] = {"pre_tokenizer": json.loads(tokenizer.to_str())["pre_tokenizer"],
                          "cuts": cuts, "ids": [encode(text) for text in texts],
                          "marked_ids": [encode(text) for text in marked]}
    document = json.loads(tokenizer.to_str())
    del document["pre_tokenizer"]
    write("byte_level.json", {"tokenizer": document, "texts": texts, "marked": marked,
                              "families": families})


def train_pieces(name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in SENTENCES for line in text.splitlines() if line),
        model_writer=model, model_type="bpe", vocab_size=700, byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        split_digits=True, allow_whitespace_only_pieces=True, num_threads=1,
        minloglevel=2, **options)
    (FOLDER / name).write_bytes(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def as_phi3(pieces):
    """What transformers makes of a Llama vocabulary: merges in the order of the scores."""
    vocabulary = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    merges = []
    for piece, index in vocabulary.items():
        if not (pieces.is_control(index) or pieces.is_byte(index) or pieces.is_unknown(index)):
            pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
            pairs = [pair for pair in pairs if pair[0] in vocabulary and pair[1] in vocabulary]
            pairs.sort(key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
            merges += [(pieces.get_score(index), pair) for pair in pairs]
    merges.sort(key=lambda merge: -merge[0])
    tokenizer = Tokenizer(models.BPE(vocabulary, [pair for _, pair in merges], unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"),
                                                 normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    tokenizer.add_tokens([AddedToken("</s>", rstrip=True, normalized=False)])
    tokenizer.add_special_tokens(
        [AddedToken(text, rstrip=True, special=True)
         for text in ("<|assistant|>", "<|system|>", "<|end|>", "<|user|>")])
    return tokenizer


def sentence_pieces():
    llama = train_pieces("llama.model", add_dummy_prefix=True)
    gemma = train_pieces("gemma.model", add_dummy_prefix=False, pad_id=0, eos_id=1,
                         bos_id=2, unk_id=3,
                         user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "\n", "\n\n",
                                               "▁▁", "▁▁▁", "▁▁▁▁", "<table>"])
    phi3 = as_phi3(llama)
    # U+0000 ends a text in sentencepiece's trainer, never in its encoder.
    texts = CASES + random_texts(80, 2)
    chat = ["<|user|>\n hi <|end|>\n<|assistant|>\n yes<|end|>", "a</s>  b",
    "<|end|>\u3000x <|user|>",
            "<s> hello", "<|system|>\nBe  brief.<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\n"]
    encode = lambda text: phi3.encode(text, add_special_tokens=False).ids
    write("sentence_pieces.json", {
        "texts": texts, "llama_ids": [llama.encode(text) for text in texts],
        "gemma_ids": [gemma.encode(text) for text in texts],
        "chat": chat, "phi3_ids": [encode(text) for text in chat],
        "phi3_tokenizer": json.loads(phi3.to_str())})


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(name, document):
    """One line for each value of the second level: small, and still to be compared by eye."""
    parts = []
    for key, value in document.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"  {json.dumps(k)}: {dump(v)}" for k, v in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {dump(value)}")
    (FOLDER / name).write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    byte_level()
    sentence_pieces()
