"""An ONNX graph as expressions: what its output is made of, once every node of it has passed the grammar."""

from __future__ import annotations

from bcpnet.native.onnx_file import Graph
from bcpnet.native.operators import Operand, made_by
from bcpnet.native.protobuf import UnsupportedError
from bcpnet.native.values import Frame, Value
from bcpnet.storage.damaged import shortened

_UINT8, _FLOAT = 2, 1
_MOST_WEIGHTS = 2  # times as many in convolutions as in the file: constants that many share would fill the memory


def expression(graph: Graph) -> Value:
    """What the output is made of.

    Raises:
        UnsupportedError: a node that the grammar of `bcpnet.native.operators` does not have; the text names it.
    """
    known: dict[str, Operand] = {**graph.constants, **_frames(graph)}
    allowed = _MOST_WEIGHTS * sum(constant.size for constant in graph.constants.values())
    for node in graph.nodes:
        try:
            made = made_by(node, tuple(_operand(known, name) for name in node.inputs))
            if node.outputs[0] in known:
                raise UnsupportedError(f"{shortened(node.outputs[0])} made twice")
            if isinstance(made, Value):
                allowed -= made.weights.size
                if node.operator == "HardSigmoid":
                    allowed -= made.inputs[0].weights.size
                if allowed < 0:
                    raise UnsupportedError("weights that many convolutions share")
        except UnsupportedError as error:
            name = node.name or " ".join(node.outputs)
            raise UnsupportedError(f"{error}, node {shortened(name)}") from error
        known[node.outputs[0]] = made
    return _logits(graph, known)


def _frames(graph: Graph) -> dict[str, Operand]:
    """The one input: N x H x W x 3 uint8 frames, of any number and size."""
    if len(graph.inputs) != 1 or graph.inputs[0].name in graph.constants:
        raise UnsupportedError(f"{len(graph.inputs)} inputs, not one")
    frames = graph.inputs[0]
    if frames.kind != _UINT8:
        raise UnsupportedError("an input of floats, not of frames")
    free = (frames.shape or ())[:3]
    if len(frames.shape or ()) != 4 or (frames.shape or ())[3] != 3 or not all(isinstance(size, str) for size in free):
        raise UnsupportedError("an input that is not of any number of frames of any size, N x H x W x 3")
    names = [size for size in free if size]
    if len(set(names)) < len(names):
        raise UnsupportedError("an input whose height and width go together")
    return {frames.name: Frame()}


def _logits(graph: Graph, known: dict[str, Operand]) -> Value:
    """What the one output is: a map of classes."""
    logits = known.get(graph.outputs[0].name) if len(graph.outputs) == 1 else None
    if not isinstance(logits, Value) or not logits.cut:
        raise UnsupportedError(f"{len(graph.outputs)} outputs, or one that is no map")
    (port,) = graph.outputs
    shape = port.shape or ("", logits.channels, "", "")
    fits = len(shape) == 4 and shape[1] in ("", logits.channels) and all(isinstance(shape[at], str) for at in (0, 2, 3))
    if port.kind != _FLOAT or not fits:
        raise UnsupportedError(f"an output that is said to be of another shape than {logits.channels} classes' maps")
    return logits


def _operand(known: dict[str, Operand], name: str) -> Operand:
    if not name:
        return None
    if name not in known:
        raise UnsupportedError(f"{shortened(name)}, which nothing makes")
    return known[name]
