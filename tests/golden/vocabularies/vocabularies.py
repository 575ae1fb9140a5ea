"""Writes small vocabularies of the kinds that Jamba models have, and the ids that their own libraries give.

    pip install sentencepiece==0.2.3 tokenizers==0.23.3
    python3 tests/golden/vocabularies/vocabularies.py [JAMBA.model]

- bytes.json, bytes.jsonl: byte-level BPE (tokenizers), GPT-2's word rule, digits apart.
- gpt2.json, gpt2.jsonl: the same without digits apart.
- pieces.json, pieces.jsonl: BPE with byte fallback (tokenizers), spaces as U+2581, no word rule.
- pieces.model, pieces_model.jsonl: SentencePiece BPE with byte fallback, trained on the same text.
- jamba.jsonl: ids that AI21's Jamba vocabulary gives by sentencepiece; only with JAMBA.model (its licence keeps the file itself out of here).

Lines: {"text", "ids"}. Text to train on: the licence and the texts of ../bundled/token_ids.jsonl, which are also what is encoded.
"""
import json
import random
import sys
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

here = Path(__file__).parent
texts = [json.loads(line)["text"] for line in (here.parent / "bundled" / "token_ids.jsonl").open()]
random.seed(1)
words = " ".join(texts).split()
texts += ["   ".join(random.sample(words, 5)) for _ in range(10)]
texts += ["Hello world!", "x  return", " hello", "a\tb", "\u2581under \u2581\u2581 mark", "12,345", "\u0001\u0002", "ab" * 300, "the," * 40 + "  \n"]
corpus = (here.parents[2] / "LICENSE").read_text().split("\n") + texts


def write(name, encode):
    with (here / name).open("w") as f:
        for text in texts:
            f.write(json.dumps({"text": text, "ids": encode(text)}, ensure_ascii=False) + "\n")


def byte_level(name, digits):
    t = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words]) if digits else words
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=700, special_tokens=["<|end|>", "<|doc|>"], show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    t.save(str(here / (name + ".json")), pretty=False)
    plain = Tokenizer.from_file(str(here / (name + ".json")))
    write(name + ".jsonl", lambda s: plain.encode(s, add_special_tokens=False).ids)


byte_level("bytes", True)
byte_level("gpt2", False)

t = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
t.normalizer = normalizers.Replace(" ", "\u2581")
special = ["<unk>", "<|end|>", "<|doc|>"] + ["<0x%02X>" % b for b in range(256)]
t.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")  # for training only: pieces do not cross spaces
t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False, limit_alphabet=120))
saved = json.loads(t.to_str())
saved["pre_tokenizer"] = None
saved["added_tokens"] = [a for a in saved["added_tokens"] if not a["content"].startswith("<0x")]
saved["added_tokens"].append({"id": max(saved["model"]["vocab"].values()) + 1, "content": ",", "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": False})
if "," in saved["model"]["vocab"]:
    saved["added_tokens"][-1]["id"] = saved["model"]["vocab"][","]
(here / "pieces.json").write_text(json.dumps(saved, ensure_ascii=False))
plain = Tokenizer.from_file(str(here / "pieces.json"))
write("pieces.jsonl", lambda s: plain.encode(s, add_special_tokens=False).ids)

(here / "corpus.txt").write_text("\n".join(corpus))
sentencepiece.SentencePieceTrainer.train(input=str(here / "corpus.txt"), model_prefix=str(here / "pieces"), vocab_size=900, model_type="bpe",
                                         byte_fallback=True, split_digits=True, character_coverage=0.98, normalization_rule_name="identity",
                                         add_dummy_prefix=False, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
                                         user_defined_symbols=[","], control_symbols=["<|doc|>"], pad_id=0, bos_id=1, eos_id=2, unk_id=3,
                                         hard_vocab_limit=False, minloglevel=2)
(here / "corpus.txt").unlink()
(here / "pieces.vocab").unlink()
sp = sentencepiece.SentencePieceProcessor(model_file=str(here / "pieces.model"))
write("pieces_model.jsonl", sp.encode)

if len(sys.argv) > 1:
    jamba = sentencepiece.SentencePieceProcessor(model_file=sys.argv[1])
    write("jamba.jsonl", jamba.encode)
