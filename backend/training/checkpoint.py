"""Weights as safetensors bytes: never a pickle, the same file on every machine."""

from __future__ import annotations

from dataclasses import replace

import safetensors.torch
from torch import Tensor

from backend.config import ModelConfig
from backend.errors import TrainingError
from backend.models.network import FruitNetwork, NetworkSpec

ENCODERS = "encoders."
"""Prefix of what a pretraining and a classifier have in common."""


def pack_weights(state: dict[str, Tensor]) -> bytes:
    """A state dictionary as safetensors bytes."""
    return safetensors.torch.save({name: value.detach().cpu().contiguous() for name, value in state.items()})


def unpack_weights(data: bytes) -> dict[str, Tensor]:
    """The state dictionary in safetensors bytes.

    Raises:
        TrainingError: the bytes are not safetensors.
    """
    try:
        return safetensors.torch.load(data)
    except Exception as error:  # the library raises its own Rust type and several builtins
        raise TrainingError(
            f"weights cannot be read ({type(error).__name__})",
            expected="a safetensors file of this project",
            action="pretrain again",
        ) from error


def load_encoders(model: FruitNetwork, data: bytes) -> None:
    """Start the encoders of ``model`` from a pretraining.

    Encoders the pretraining lacks keep their random weights only if the model has none in common with it
    under that name; a shape that differs is an error. Normalisation statistics come along: pretrained
    weights expect them.

    Raises:
        TrainingError: nothing in common, or shapes that differ.
    """
    own = model.state_dict()
    found = {name: value for name, value in unpack_weights(data).items() if name.startswith(ENCODERS)}
    common = {name: value for name, value in found.items() if name in own}
    wrong = [name for name, value in common.items() if value.shape != own[name].shape]
    if not common or wrong:
        raise TrainingError(
            f"{len(wrong)} tensors of another shape" if wrong else "no encoder in common",
            where="pretrained weights",
            expected=f"encoders for {', '.join(model.encoders)} on backbone {model.config.backbone}",
            action="pretrain with the same backbone, fusion and modalities",
        )
    model.load_state_dict(common, strict=False)


def load_network(config: ModelConfig, spec: NetworkSpec, data: bytes) -> FruitNetwork:
    """A trained classifier from its checkpoint, in evaluation mode.

    Args:
        config: the architecture it was trained with.
        spec: of the data it was trained on.
        data: safetensors bytes of the whole network.

    Raises:
        TrainingError: the bytes are not this network's.
    """
    model = FruitNetwork(replace(config, init="random"), spec)
    try:
        model.load_state_dict(unpack_weights(data))
    except RuntimeError as error:
        raise TrainingError(
            "the weights do not fit the network",
            where="checkpoint",
            expected=f"backbone {config.backbone} for {', '.join(config.modalities)}",
            action="train the run again",
        ) from error
    return model.eval()
