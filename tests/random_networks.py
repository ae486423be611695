"""Networks as training may leave them: nothing at its initial value."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcpnet.networks import build
from bcpnet.networks.layers import WeightedSum


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """`network` with random weights, biases, batch-norm scales (some negative), shifts and statistics, and weights of
    sums (one of three negative); in evaluation mode. Every part of the image counts in its logits, which PyTorch's own
    initial weights, a little smaller in each layer, lose behind the biases.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.copy_(uniform(module.running_mean, -0.5, 0.5))
                module.running_var.copy_(uniform(module.running_var, 0.2, 2))
                sign = torch.where(uniform(module.weight, 0, 1) < 0.2, -1, 1)
                module.weight.copy_(sign * uniform(module.weight, 0.5, 1.5))
                module.bias.copy_(uniform(module.bias, -0.5, 0.5))
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    module.bias.copy_(uniform(module.bias, -0.5, 0.5))
            elif isinstance(module, WeightedSum):
                module.weight.copy_(uniform(module.weight, 0.2, 2))
                if len(module.weight) > 2:
                    module.weight[1] = -0.5
    return network.eval()


def random_network(name: str, num_classes: int, seed: int = 0, **options: object) -> nn.Module:
    """A network of `bcpnet.networks`, built with random weights and `randomised`."""
    return randomised(build(name, num_classes, **options), seed)


def rescaled(network: nn.Module) -> nn.Module:
    """`network` with its batch norms' statistics brought to the scale of what they read, as training leaves them.

    In deep networks with blindly drawn statistics features grow to 1e9 and gates become steps.
    """

    def rescale(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = inputs[0].square().mean((0, 2, 3)).sqrt().clamp(min=0.1)
        norm.running_mean.mul_(scale)
        norm.running_var.mul_(scale.square())

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(rescale) for norm in norms]
    with torch.no_grad():
        getattr(network, "forward_with_auxiliary", network)(random_images(2, 3, 97, 131))
    for hook in hooks:
        hook.remove()
    return network


def random_frames(*shape: int, seed: int = 0) -> Tensor:
    """N H W 3 uint8 frames of that shape."""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def random_images(*shape: int, seed: int = 0) -> Tensor:
    """Network input of that shape, uniform in -1..1."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
