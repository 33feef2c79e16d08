"""BatchNorm folded into the convolution or linear layer before it."""

from __future__ import annotations

from collections import Counter

from torch import fx, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from agn_hw.conversion.trace import remove


def fold_batch_norm(traced: fx.GraphModule) -> None:
    """Folds, in place, every BatchNorm that follows a layer of its own; others stay."""
    calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        if node.op != "call_module":
            continue
        norm, source = traced.get_submodule(str(node.target)), node.all_input_nodes[0]
        if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)) or norm.running_mean is None:
            continue
        if source.op != "call_module" or len(source.users) != 1 or calls[str(source.target)] != 1:
            continue
        layer = _plain(traced.get_submodule(str(source.target)))
        if isinstance(layer, (nn.Conv1d, nn.Conv2d)):
            traced.set_submodule(str(source.target), _trained(fuse_conv_bn_eval(layer, norm)))
        elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            traced.set_submodule(str(source.target), _trained(fuse_linear_bn_eval(layer, norm)))
        else:
            continue
        remove(traced, node)


def _trained(layer: nn.Module) -> nn.Module:
    """A folded layer, whose bias trains as its weight does: it may not have had one before."""
    for name in ("weight", "bias"):
        layer.get_parameter(name).requires_grad_(layer.get_parameter("weight").requires_grad)
    return layer


_SIZES = {
    nn.Conv1d: ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
    nn.Conv2d: ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
    nn.Linear: ("in_features", "out_features"),
}


def _plain(layer: nn.Module) -> nn.Module:
    """A layer with its parametrised weights (weight norm ...) as they are now. Copies share the class that torch makes
    for them, so that nothing can be taken off a copy."""
    kind = next((kind for kind in _SIZES if isinstance(layer, kind)), None)
    if kind is None or not parametrize.is_parametrized(layer):
        return layer
    mode = {} if kind is nn.Linear else {"padding_mode": layer.padding_mode}
    plain = kind(*[getattr(layer, size) for size in _SIZES[kind]], bias=layer.bias is not None, **mode).eval()
    plain.load_state_dict({name: getattr(layer, name).detach() for name, _ in plain.named_parameters()})
    return plain
