"""A model made ready to predict: no gradients, weights in the format and layout that are fastest to read."""

from torch import nn

from reprotune.compute.blocked_weights import BlockedLinear
from reprotune.compute.device import Compute
from reprotune.model.families import LINEAR
from reprotune.model.network import Network


def prepare_for_inference(model: Network, compute: Compute) -> None:
    """Cast the weights of matrix products to `compute.dtype` and block them where that helps, in place."""
    cast_matrices(model, compute)
    if compute.blocks_weights:
        block_matrices(model)


def cast_matrices(model: Network, compute: Compute) -> None:
    """Store the weights of matrix products (linear layers and token embedding) in `compute.dtype`, in place.

    Norms and positions keep their format, so that under autocast only the products are in `dtype`, as in training, and
    no weight is cast again at every step.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear) or module is model.wte:
            module.to(compute.dtype)


def block_matrices(model: Network) -> None:
    """Replace the linear layers and the output head by blocked ones, in place; the model can then only predict.

    The token embedding stays next to the blocked head, since a blocked matrix has no rows to look up.
    """
    for block in model.blocks:
        for name in LINEAR:
            linear: nn.Linear = getattr(block, name)
            gelu = name == "c_fc" and not model.config.gated
            setattr(block, name, BlockedLinear(linear.weight, linear.bias, gelu))
        if not model.config.gated:
            block.act = nn.Identity()
    model.head = BlockedLinear(model.output_weight, None)
    model.lm_head = None
