"""ImageNet weights of torchvision's vgg19_bn for the blocks of a net: from its server, or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from jobs.errors import BadInput, DataError
from jobs.shortcuts.supernet import Supernet
from jobs.shortcuts.vgg import Network, load_features


def features(weights: str, cwd: Path) -> Mapping[str, Tensor]:
    """The state_dict in the file `weights` (relative to `cwd`), or torchvision's IMAGENET1K_V1 where it is empty.

    The latter is kept in torch's own cache (TORCH_HOME). Raises DataError where the file is absent or no file of
    tensors, or where there is no internet.
    """
    if not weights:
        from torchvision.models import VGG19_BN_Weights

        try:
            fetched: Mapping[str, Tensor] = VGG19_BN_Weights.IMAGENET1K_V1.get_state_dict(
                progress=False, check_hash=True, map_location="cpu", weights_only=True
            )
        except (OSError, RuntimeError) as error:  # RuntimeError: a wrong hash
            raise DataError(
                f"the pretrained weights cannot be fetched ({error}): fetch vgg19_bn elsewhere and give --weights FILE"
            ) from None
        return fetched
    path = cwd / Path(weights).expanduser()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror or error}") from None
    except Exception as error:  # of a foreign file, torch's restricted unpickler raises whatever its bytes lead to
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise DataError(f"{path} holds no plain state_dict ({reason}): save one with torch.save") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{path} holds no state_dict: save the model's state_dict(), a mapping of names to tensors")
    return state


def into(supernet: Supernet, state: Mapping[str, Tensor]) -> None:
    """Load the feature layers into the supernet's blocks; head and shortcuts stay as they are.

    Raises BadInput naming the keys that differ from vgg19_bn's.
    """
    if supernet.width != 1.0:
        raise BadInput(f"pretrained weights are those of width 1, not {supernet.width:g}: set width=1")
    plain = Network()
    load_features(plain, state)
    supernet.blocks.load_state_dict(plain.blocks.state_dict())
