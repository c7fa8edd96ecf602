#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A simulated run learns what a plain loop over PyTorch, transformers and PEFT learns.

Usage: peft_loop.py PROGRAM MODEL TEXTS_FOLDER

Clients are documents of TEXTS_FOLDER (*.md), of unequal length. Both sides get the same base (its
GGUF file, which transformers reads by itself), the same first adapter (made by PEFT), texts and
recipe, and train for a few rounds of FedAvg, weighted by examples. A step takes all of a client's
windows, so that nothing follows from the order of batches. Nats a token on the global report set
must agree after every round: within 1 % with the engine's bfloat16 products, which is what is
promised, and within 0.1 % with float32 ones, where only sums' order, the ring's rounding and the
16-bit steps of releases are left to differ.

Needs torch, transformers, peft and gguf: in the Python that runs this, or in $COPPICE_PEFT_PYTHON.
Exit status 77 says that they aren't there (ctest counts it as skipped).
"""
import hashlib
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

NEEDED = ("torch", "transformers", "peft", "gguf")
CLIENTS, ROUNDS, STEPS, WARMUP, WINDOW = 6, 4, 3, 1, 128
RATE, MAX_GRADIENT_NORM, EXAMPLES_PER_WEIGHT, MAX_WEIGHT = 0.003, 1.0, 10, 8
RANK, ALPHA = 8, 16
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PIECE = 800             # characters
WINDOWS_AT_ONCE = 16
REPORT_PIECES = 2       # of each client in the global set
TOLERANCE = {"bfloat16": 0.01, "float32": 0.001}


def split_of(text):
    """A device's rule: the piece's own hash says what it is for."""
    tenth = int.from_bytes(hashlib.sha256(text.encode() + b"\0").digest()[:8], "little") % 10
    return {8: "gate", 9: "report"}.get(tenth, "train")


def clients_of(folder):
    """Pieces of each client: client i has the first 6 + 2i of its document."""
    clients = []
    documents = sorted(folder.glob("*.md"), key=lambda path: path.stat().st_size)
    for number, path in enumerate(documents[-CLIENTS:]):
        text = path.read_text(encoding="utf-8")
        pieces = [text[at:at + PIECE] for at in range(0, len(text), PIECE)]
        clients.append(pieces[:6 + 2 * number])
    return clients


def windows_of(tokens, size):
    """Each window after the first starts with the last token of the one before."""
    return [tokens[at:at + size] for at in range(0, len(tokens) - 1, size - 1)]


def summed_nats(model, windows):
    """Windows are padded on the right, which no earlier token sees."""
    import torch
    longest = max(map(len, windows))
    ids = torch.tensor([window + [0] * (longest - len(window)) for window in windows])
    wanted = torch.tensor([window[1:] + [-100] * (longest - len(window)) for window in windows])
    logits = model(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum")


def groups(windows):
    return [windows[at:at + WINDOWS_AT_ONCE] for at in range(0, len(windows), WINDOWS_AT_ONCE)]


def predicted(windows):
    return sum(len(window) - 1 for window in windows)


def rate_at(step):
    """Linear warm-up, then half a cosine."""
    if step < WARMUP:
        return RATE * (step + 1) / WARMUP
    return RATE * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


class Loop:
    """The plain side: one model, clients one after another."""

    def __init__(self, gguf, clients):
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer
        torch.manual_seed(1)
        torch.set_num_threads(1)  # small products: more would wait for one another
        where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        tokenizer = AutoTokenizer.from_pretrained(**where)
        base = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        self.model = get_peft_model(base, LoraConfig(
            r=RANK, lora_alpha=ALPHA, target_modules=MODULES, task_type="CAUSAL_LM"))
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        context = base.config.max_position_embeddings
        self.train, self.report = [], []
        for pieces in clients:
            tokens = [(split_of(piece), tokenizer.encode(piece, add_special_tokens=False))
                      for piece in pieces]
            self.train.append(
                [w for split, t in tokens if split == "train" for w in windows_of(t, WINDOW)])
            report = [t for split, t in tokens if split == "report"][:REPORT_PIECES]
            self.report += [w for t in report for w in windows_of(t, context)]

    def nats_per_token(self):
        import torch
        with torch.no_grad():
            nats = sum(float(summed_nats(self.model, group)) for group in groups(self.report))
        return nats / predicted(self.report)

    def train_client(self, windows):
        import torch
        optimizer = torch.optim.AdamW(self.parameters, lr=RATE, weight_decay=0.0)
        for step in range(STEPS):
            optimizer.param_groups[0]["lr"] = rate_at(step)
            optimizer.zero_grad()
            for group in groups(windows):
                (summed_nats(self.model, group) / predicted(windows)).backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
            optimizer.step()

    def round(self):
        import torch
        start = [p.detach().clone() for p in self.parameters]
        total, weights = [torch.zeros_like(p) for p in start], 0
        for windows in self.train:
            examples = math.ceil(predicted(windows) / WINDOW)
            weight = min(max(examples // EXAMPLES_PER_WEIGHT, 1), MAX_WEIGHT)
            self.train_client(windows)
            weights += weight
            with torch.no_grad():
                for sum_, now, then in zip(total, self.parameters, start):
                    sum_ += weight * (now - then)
                    now.copy_(then)
        with torch.no_grad():
            for now, sum_ in zip(self.parameters, total):
                now += sum_ / weights


def simulated(program, model, home, precision):
    """Nats a token by round of `coppice sim run`, and tokens scored."""
    (home / "scenario.toml").write_text("")
    settings = {
        "rounds": ROUNDS, "model": model, "adapter": home / "start", "precision": precision,
        "data.source": "folder", "data.path": home / "texts",
        "lora.r": RANK, "lora.lora_alpha": ALPHA,
        "training.learning_rate": RATE, "training.max_steps": STEPS,
        "training.warmup_steps": WARMUP, "training.batch_tokens": 1 << 20,
        "training.max_length": WINDOW, "training.max_grad_norm": MAX_GRADIENT_NORM,
        "round.min_available_nodes": CLIENTS, "round.min_train_nodes": CLIENTS,
        "round.min_survivors": CLIENTS, "round.deadline": "7d",
        "round.examples_per_weight": EXAMPLES_PER_WEIGHT, "round.max_weight": MAX_WEIGHT,
        "report.every": 1, "report.clients": 1, "report.personal": "false",
        "report.global_bytes": "1GB"}
    run = home / precision
    subprocess.run([program, "sim", "run", str(home / "scenario.toml"), "--out", str(run),
                    *[f"--set={key}={value}" for key, value in settings.items()]],
                   check=True, stdout=subprocess.DEVNULL, timeout=600)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    counted = [event["counted"] for event in events if event["event"] == "round"]
    assert counted == [CLIENTS] * ROUNDS, f"every client counts in every round: {counted}"
    shared = [event for event in events if event["event"] == "evaluation"
              and event["set"] == "global" and event["adapter"] == "shared"]
    return [event["nats_per_token"] for event in shared], shared[0]["tokens"]


def main():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    other = os.environ.pop("COPPICE_PEFT_PYTHON", None)  # asked once
    if missing and other:
        os.execv(other, [other, "-B", *sys.argv])
    if missing:
        print(f"skipped: no {', '.join(missing)}; COPPICE_PEFT_PYTHON may name a Python with them")
        return 77
    program, model = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    clients = clients_of(pathlib.Path(sys.argv[3]))
    loop = Loop(model, clients)
    with tempfile.TemporaryDirectory() as scratch:
        home = pathlib.Path(scratch)
        for number, pieces in enumerate(clients):
            own = home / "texts" / f"client{number}"
            own.mkdir(parents=True)
            (own / "own.jsonl").write_text("".join(json.dumps({"text": p}) + "\n" for p in pieces))
        loop.model.save_pretrained(home / "start")
        curves = {kind: simulated(program, model, home, kind) for kind in TOLERANCE}
    plain = [loop.nats_per_token()]
    for _ in range(ROUNDS):
        loop.round()
        plain.append(loop.nats_per_token())
    print("peft    ", [round(value, 5) for value in plain])
    assert plain[-1] < 0.9 * plain[0], "the loop must learn something to compare"
    for kind, (curve, tokens) in curves.items():
        gaps = [ours / theirs - 1 for ours, theirs in zip(curve, plain, strict=True)]
        print(kind.ljust(8), [round(value, 5) for value in curve], [f"{gap:+.5%}" for gap in gaps])
        assert tokens == predicted(loop.report), "both score the same tokens"
        assert max(map(abs, gaps)) <= TOLERANCE[kind], f"{kind}: {gaps}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
