"""Right: torch on scikit-learn's digits, with all of its state in the checkpoint."""

import json
import os
import time
from pathlib import Path

import torch
from sklearn.datasets import load_digits

EPOCHS = 4
seed = int(os.environ["ORCH_SEED"])
folder = Path(os.environ["ORCH_CHECKPOINT_DIR"])
torch.manual_seed(seed)
torch.set_num_threads(1)
images, labels = (torch.tensor(one) for one in load_digits(return_X_y=True))
images = images.float() / 16
net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(32, 10))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.8)
epoch = 0
found = sorted(folder.glob("epoch-*.pt"), reverse=True)
for path in found:
    try:
        state = torch.load(path)
    except (RuntimeError, EOFError, OSError):  # OSError: what torch says of a zip that ends at certain lengths
        continue
    net.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    torch.set_rng_state(state["rng"])
    epoch, line = state["epoch"], state["line"]
    break
while epoch < EPOCHS:
    losses = []
    for rows in torch.randperm(len(images)).split(128):
        loss = torch.nn.functional.cross_entropy(net(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    rate = scheduler.get_last_lr()[0]
    scheduler.step()
    epoch += 1
    time.sleep(0.1)
    line = {"epoch": epoch, "epochs": EPOCHS, "loss": sum(losses) / len(losses), "lr": rate}
    with Path(os.environ["ORCH_METRICS"]).open("a") as lines:
        lines.write(json.dumps(line) + "\n")
    draft = folder / "draft.tmp"
    torch.save(
        {
            "model": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "rng": torch.get_rng_state(),
            "epoch": epoch,
            "line": line,
        },
        draft,
    )
    draft.rename(folder / f"epoch-{epoch:03d}.pt")
Path(os.environ["ORCH_RESULT"]).write_text(json.dumps({"loss": line["loss"], "lr": line["lr"]}))
