"""Times training steps of Hugging Face's GroundingDINO in PyTorch, eager: forward, loss, backward, clipping, AdamW.

Prints one JSON line: {"milliseconds": [...], "losses": [...], "peakMegabytes": ...}.
"""
import argparse
import json
import resource
import time

import torch
from transformers import GroundingDinoForObjectDetection

parser = argparse.ArgumentParser()
parser.add_argument("checkpoint")
parser.add_argument("--batch", type=int, default=12)
parser.add_argument("--height", type=int, default=192)
parser.add_argument("--width", type=int, default=256)
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--targets", type=int, default=6, help="boxes of each image")
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
model = GroundingDinoForObjectDetection.from_pretrained(args.checkpoint)
model.config.auxiliary_loss = True
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=1e-4)

tokens = torch.full((args.batch, args.tokens), 300)
tokens[:, 0], tokens[:, -1] = 101, 102
tokens[:, 3:-1:3] = 1012  # phrases of two words and a full stop
inputs = dict(
    pixel_values=torch.randn(args.batch, 3, args.height, args.width),
    pixel_mask=torch.ones(args.batch, args.height, args.width, dtype=torch.long),
    input_ids=tokens,
    attention_mask=torch.ones_like(tokens),
    token_type_ids=torch.zeros_like(tokens),
)
labels = [
    {"class_labels": torch.arange(args.targets), "boxes": torch.rand(args.targets, 4) * 0.3 + 0.3}
    for _ in range(args.batch)
]

milliseconds, losses = [], []
for step in range(args.steps + 1):
    start = time.perf_counter()
    loss = model(**inputs, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    optimizer.zero_grad()
    if step > 0:
        milliseconds.append((time.perf_counter() - start) * 1000)
    losses.append(loss.item())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"milliseconds": milliseconds, "losses": losses, "peakMegabytes": peak}))
