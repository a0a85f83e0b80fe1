"""Train a small net on scikit-learn's digits with DistributedDataParallel, on GPUs (nccl) or CPUs (gloo).

orch submit command --launcher torchrun --ranks-per-node 2 --mem 4G --wait -- python examples/ddp/train.py --seed {seed}
"""

import argparse
import json
import os
from pathlib import Path

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--epochs", type=int, default=5)
args = parser.parse_args()

cuda = torch.cuda.is_available()
dist.init_process_group("nccl" if cuda else "gloo")
rank, world = dist.get_rank(), dist.get_world_size()
device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")

torch.manual_seed(args.seed)
pixels, digits = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
order = torch.randperm(len(digits))
x, y = pixels.float()[order].to(device) / 16, digits[order].to(device)
net = DistributedDataParallel(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(device))
optimizer = torch.optim.SGD(net.parameters(), lr=args.lr)

# Every rank goes on from the same checkpoint, whichever execution wrote it.
saved = Path(os.environ.get("ORCH_CHECKPOINT_DIR", ".")) / "state.pt"
first = 0
if saved.exists():
    state = torch.load(saved, map_location=device)
    net.module.load_state_dict(state["net"])
    first = state["epoch"]

for epoch in range(first, args.epochs):
    mine = torch.randperm(1400 // world) * world + rank  # this rank's part: as many for each
    for batch in mine.split(max(1, 64 // world)):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
    accuracy = 100 * float((net.module(x[1400:]).argmax(1) == y[1400:]).float().mean())
    if rank == 0:
        torch.save({"net": net.module.state_dict(), "epoch": epoch + 1}, saved.with_name("draft"))
        saved.with_name("draft").rename(saved)
        if path := os.environ.get("ORCH_METRICS"):
            with Path(path).open("a") as file:
                file.write(json.dumps({"epoch": epoch + 1, "epochs": args.epochs, "test_acc": accuracy}) + "\n")
        print(f"epoch {epoch + 1}: {accuracy:.1f} % on {world} ranks", flush=True)
dist.destroy_process_group()
