"""That the count of operations is the network's."""

import pytest
import torch

from reprotune.model.config import GPT2_SIZES
from reprotune.model.network import Network


@pytest.mark.parametrize("size", GPT2_SIZES)
def test_operations_are_six_per_weight_of_a_product(size: str) -> None:
    config = GPT2_SIZES[size]
    with torch.device("meta"):
        model = Network(config)
    products = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and name != "wpe.weight")
    assert config.training_flops_per_token() == 6 * products
    assert config.training_flops_per_token(context=10) > 6 * products
