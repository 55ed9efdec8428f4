"""CLIP's image tower with random weights, as the model hub exports it: ``pixel_values`` in,
``last_hidden_state`` and the projected ``image_embeds`` out. Widths and layers are those of ViT-B
(Radford et al. 2021); tests leave out most of the twelve blocks, nothing else.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, HIDDEN, DIMENSION, SIDE = 768, 12, 3072, 512, 224


class _Tower:
    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def array(self, value: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def random(self, *shape: int, scale: float = 0.02) -> str:
        return self.array((self._random.standard_normal(shape) * scale).astype(np.float32))

    def shape(self, *dims: int) -> str:
        return self.array(np.array(dims, np.int64))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        # As wide as keeps the signal's size, so that twelve blocks neither fade nor explode.
        product = self.node("MatMul", x, self.random(inputs, outputs, scale=inputs**-0.5))
        return self.node("Add", product, self.random(outputs))

    def normalised(self, x: str) -> str:
        one = self.array(np.ones(WIDTH, np.float32))
        return self.node("LayerNormalization", x, one, self.random(WIDTH), axis=-1, epsilon=1e-5)

    def heads(self, x: str, perm: list[int]) -> str:
        split = self.node("Reshape", x, self.shape(0, -1, HEADS, WIDTH // HEADS))
        return self.node("Transpose", split, perm=perm)

    def attention(self, x: str) -> str:
        query, key, value = (self.linear(x, WIDTH, WIDTH) for _ in range(3))
        scale = self.array(np.float32((WIDTH // HEADS) ** -0.5))
        queries = self.node("Mul", self.heads(query, [0, 2, 1, 3]), scale)
        scores = self.node("MatMul", queries, self.heads(key, [0, 2, 3, 1]))
        weights = self.node("Softmax", scores, axis=-1)
        mixed = self.node("MatMul", weights, self.heads(value, [0, 2, 1, 3]))
        joined = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(self.node("Reshape", joined, self.shape(0, -1, WIDTH)), WIDTH, WIDTH)

    def block(self, x: str) -> str:
        x = self.node("Add", x, self.attention(self.normalised(x)))
        wide = self.linear(self.normalised(x), WIDTH, HIDDEN)
        gate = self.node("Sigmoid", self.node("Mul", wide, self.array(np.float32(1.702))))
        return self.node("Add", x, self.linear(self.node("Mul", wide, gate), HIDDEN, WIDTH))

    def tokens(self, patch: int) -> str:
        """Patches, the class token before them, and their places."""
        count = (SIDE // patch) ** 2
        kernel = self.random(WIDTH, 3, patch, patch)
        patches = self.node("Conv", "pixel_values", kernel, strides=[patch, patch])
        flat = self.node("Reshape", patches, self.shape(0, WIDTH, count))
        rows = self.node("Transpose", flat, perm=[0, 2, 1])
        batch = self.node(
            "Gather",
            self.node("Shape", "pixel_values"),
            self.array(np.array([0], np.int64)),
            axis=0,
        )
        size = self.node("Concat", batch, self.shape(1, WIDTH), axis=0)
        first = self.node("Expand", self.random(1, 1, WIDTH), size)
        both = self.node("Concat", first, rows, axis=1)
        return self.node("Add", both, self.random(1, count + 1, WIDTH))


def write_clip_tower(path: Path, patch: int, blocks: int, seed: int = 0) -> Path:
    """ViT-B/``patch`` with so many of its twelve blocks."""
    tower = _Tower(seed)
    x = tower.normalised(tower.tokens(patch))
    for _ in range(blocks):
        x = tower.block(x)
    tower.node("Identity", x, output="last_hidden_state")
    first = tower.node("Gather", x, tower.array(np.int64(0)), axis=1)
    projection = tower.random(WIDTH, DIMENSION, scale=WIDTH**-0.5)
    tower.node("MatMul", tower.normalised(first), projection, output="image_embeds")
    pixels = ["batch_size", 3, "height", "width"]
    outputs = {
        "last_hidden_state": ["batch_size", None, WIDTH],
        "image_embeds": ["batch_size", DIMENSION],
    }
    graph = helper.make_graph(
        tower.nodes,
        "clip",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, pixels)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        tower.weights,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path
