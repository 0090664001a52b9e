#!/usr/bin/python3
"""Trains a small residual network with ReLU on the digits of train_digits.py and writes models/digits_resnet*.

    input 1x1x8x8, pixels in [0, 1]
    Conv 3x3, 8 channels -> Relu
    residual block:            Conv 3x3, 8 -> Relu -> Conv 3x3, 8,    + its input              -> Relu
    residual block, stride 2:  Conv 3x3, 16 -> Relu -> Conv 3x3, 16,  + Conv 1x1 of its input  -> Relu
    residual block, stride 2:  Conv 3x3, 32 -> Relu -> Conv 3x3, 32,  + Conv 1x1 of its input  -> Relu
    GlobalAveragePool -> Flatten -> Gemm 32 -> 10

This is the shape of a ResNet-8. Under encryption every Relu is a bootstrap: seven of them. Test, demo and
calibration images are those of train_digits.py, whose files stay as they are.

Needs Debian's python3-sklearn, python3-numpy and python3-onnx, nothing else. Fixed seed: on one machine two
runs write the same bytes. Another BLAS or CPU may round differently, which changes the last bits of the weights.

    scripts/train_digits_resnet.py                   train, verify and write models/digits_resnet*
    scripts/train_digits_resnet.py --check           verify the files in models/ without training
    scripts/train_digits_resnet.py --cross-validate  accuracy of the settings below on five folds of the training images
"""

import argparse
import sys
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.model_selection import StratifiedKFold

import train_digits as digits
from train_digits import CLASSES, DEMO_IMAGES, MODELS, SEED, SIDE

WIDTHS = (8, 16, 32)  # channels of the blocks; every block after the first halves height and width
EPOCHS, BATCH = 60, 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 1e-4
MIN_ACCURACY = 0.97


# ------------------------------------------------------------------------------------------- network


class Layer(NamedTuple):
    """One ONNX node. Its output bears its name; parameters are NAME.weight and NAME.bias."""

    name: str
    op: str
    inputs: tuple
    shape: tuple = ()  # of the weight
    stride: int = 1


def network():
    """The layers in an order in which they can be evaluated; forward, backward and ONNX all follow this list."""
    layers = [Layer("stem", "Conv", ("input",), (WIDTHS[0], 1, 3, 3)), Layer("stem.relu", "Relu", ("stem",))]
    for i, width in enumerate(WIDTHS):
        block, x, before = f"block{i + 1}", layers[-1].name, WIDTHS[max(i - 1, 0)]
        stride = 1 if i == 0 else 2
        layers += [
            Layer(f"{block}.conv1", "Conv", (x,), (width, before, 3, 3), stride),
            Layer(f"{block}.relu1", "Relu", (f"{block}.conv1",)),
            Layer(f"{block}.conv2", "Conv", (f"{block}.relu1",), (width, width, 3, 3)),
        ]
        if stride > 1:
            layers.append(Layer(f"{block}.shortcut", "Conv", (x,), (width, before, 1, 1), stride))
            x = f"{block}.shortcut"
        layers += [
            Layer(f"{block}.add", "Add", (f"{block}.conv2", x)),
            Layer(f"{block}.relu2", "Relu", (f"{block}.add",)),
        ]
    return layers + [
        Layer("pool", "GlobalAveragePool", (layers[-1].name,)),
        Layer("flatten", "Flatten", ("pool",)),
        Layer("logits", "Gemm", ("flatten",), (CLASSES, WIDTHS[-1])),
    ]


LAYERS = network()


def windows(x, layer):
    """(n, c, h, w) to (n, pixels of the output, c * k * k): the zero-padded neighbourhood of each output pixel."""
    kernel, pad = layer.shape[2], layer.shape[2] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
    view = view[:, :, :: layer.stride, :: layer.stride].transpose(0, 2, 3, 1, 4, 5)
    return view.reshape(len(x), view.shape[1] * view.shape[2], -1)


def windows_backward(d, x, layer):
    """The adjoint of windows(): adds every window's entries back where they came from."""
    kernel, pad, stride = layer.shape[2], layer.shape[2] // 2, layer.stride
    n, channels, height, width = x.shape
    rows, columns = height // stride, width // stride
    d = d.reshape(n, rows, columns, channels, kernel, kernel).transpose(4, 5, 0, 3, 1, 2)
    padded = np.zeros((n, channels, height + 2 * pad, width + 2 * pad))
    for dy, dx in np.ndindex(kernel, kernel):
        padded[:, :, dy : dy + rows * stride : stride, dx : dx + columns * stride : stride] += d[dy, dx]
    return padded[:, :, pad : pad + height, pad : pad + width]


def convolve(x, p, layer):
    out = windows(x, layer) @ p[f"{layer.name}.weight"].reshape(layer.shape[0], -1).T + p[f"{layer.name}.bias"]
    rows, columns = (side // layer.stride for side in x.shape[2:])
    return out.transpose(0, 2, 1).reshape(len(x), layer.shape[0], rows, columns)


def convolve_backward(d, x, p, layer):
    """Gradients of the input, the weight and the bias."""
    weight = p[f"{layer.name}.weight"].reshape(layer.shape[0], -1)
    d = d.reshape(len(x), layer.shape[0], -1)
    d_weight = np.tensordot(d, windows(x, layer), axes=((0, 2), (0, 1))).reshape(layer.shape)
    return windows_backward(d.transpose(0, 2, 1) @ weight, x, layer), d_weight, d.sum(axis=(0, 2))


def forward(p, images):
    """The network on (n, 8, 8) images. Returns every layer's output by name."""
    values = {"input": images.reshape(-1, 1, SIDE, SIDE)}
    for layer in LAYERS:
        x = [values[name] for name in layer.inputs]
        if layer.op == "Conv":
            y = convolve(x[0], p, layer)
        elif layer.op == "Relu":
            y = np.maximum(x[0], 0)
        elif layer.op == "Add":
            y = x[0] + x[1]
        elif layer.op == "GlobalAveragePool":
            y = x[0].mean(axis=(2, 3), keepdims=True)
        elif layer.op == "Flatten":
            y = x[0].reshape(len(x[0]), -1)
        elif layer.op == "Gemm":
            y = x[0] @ p[f"{layer.name}.weight"].T + p[f"{layer.name}.bias"]
        values[layer.name] = y
    return values


def backward(p, values, d_logits):
    """Gradients of the parameters, given that of the logits."""
    d_values, gradient = {"logits": d_logits}, {}
    for layer in reversed(LAYERS):
        x, d = values[layer.inputs[0]], d_values.pop(layer.name)
        if layer.op == "Conv":
            d_x, gradient[f"{layer.name}.weight"], gradient[f"{layer.name}.bias"] = convolve_backward(d, x, p, layer)
        elif layer.op == "Relu":
            d_x = d * (x > 0)
        elif layer.op == "Add":
            d_x = d
        elif layer.op == "GlobalAveragePool":
            d_x = np.broadcast_to(d / (x.shape[2] * x.shape[3]), x.shape)
        elif layer.op == "Flatten":
            d_x = d.reshape(x.shape)
        elif layer.op == "Gemm":
            d_x = d @ p[f"{layer.name}.weight"]
            gradient[f"{layer.name}.weight"], gradient[f"{layer.name}.bias"] = d.T @ x, d.sum(axis=0)
        for name in layer.inputs:
            d_values[name] = d_values[name] + d_x if name in d_values else d_x
    return gradient


# ------------------------------------------------------------------------------------------- training


def initial_parameters(rng):
    """He's initialisation; branches that are added to a shortcut start at half of it, so that sums do not grow."""
    p = {}
    for layer in LAYERS:
        if not layer.shape:
            continue
        deviation = np.sqrt(2 / np.prod(layer.shape[1:])) * (0.5 if layer.name.endswith(".conv2") else 1)
        p[f"{layer.name}.weight"] = rng.normal(0, deviation, layer.shape)
        p[f"{layer.name}.bias"] = np.zeros(layer.shape[0])
    return p


def loss_gradient(p, images, labels):
    """Gradient of the cross-entropy, averaged over the batch."""
    values = forward(p, images)
    exponentials = np.exp(values["logits"] - values["logits"].max(axis=1, keepdims=True))
    d_logits = exponentials / exponentials.sum(axis=1, keepdims=True)
    d_logits[np.arange(len(images)), labels] -= 1
    return backward(p, values, d_logits / len(images))


def train(images, labels, rng):
    """Adam with decoupled weight decay and a cosine schedule. Returns float64 parameters by name."""
    p = initial_parameters(rng)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    steps_per_epoch = len(images) // BATCH
    total = EPOCHS * steps_per_epoch
    for step in range(total):
        if step % steps_per_epoch == 0:
            order = rng.permutation(len(images))
        batch = order[step % steps_per_epoch * BATCH :][:BATCH]
        gradient = loss_gradient(p, digits.moved(images[batch], rng), labels[batch])
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / total))
        for name, g in gradient.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g * g
            mean = first[name] / (1 - 0.9 ** (step + 1))
            spread = np.sqrt(second[name] / (1 - 0.999 ** (step + 1)))
            decay = WEIGHT_DECAY / LEARNING_RATE * p[name] if name.endswith("weight") else 0
            p[name] = p[name] - rate * (mean / (spread + 1e-8) + decay)
    return p


def accuracy(p, images, labels):
    return float(np.mean(forward(p, images)["logits"].argmax(axis=1) == labels))


# ---------------------------------------------------------------------------------------------- files


def window(layer):
    """Attributes of a convolution."""
    kernel, pad = layer.shape[2], layer.shape[2] // 2
    return dict(dilations=[1, 1], group=1, kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[layer.stride] * 2)


def onnx_node(layer):
    attributes = {"Conv": window, "Gemm": lambda _: dict(transB=1), "Flatten": lambda _: dict(axis=1)}
    parameters = [f"{layer.name}.weight", f"{layer.name}.bias"] if layer.shape else []
    return helper.make_node(layer.op, [*layer.inputs, *parameters], [layer.name], name=f"/{layer.name}",
                            **attributes.get(layer.op, lambda _: {})(layer))


def onnx_model(p, test_accuracy):
    """Opset 13, one image a run."""
    graph = helper.make_graph(
        [onnx_node(layer) for layer in LAYERS],
        "digits_resnet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
        initializer=[numpy_helper.from_array(value.astype(np.float32), name) for name, value in p.items()],
    )
    model = helper.make_model(graph, producer_name="scripts/train_digits_resnet.py",
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    model.doc_string = (
        "Classifies 8x8 grey images of handwritten digits, 0 to 9. Input: pixels / 16, in [0, 1]. Residual network "
        "with three blocks and seven Relu. Trained by scripts/train_digits_resnet.py of Hearth on three quarters of "
        "scikit-learn's digits (UCI Optical Recognition of Handwritten Digits, test part, CC BY 4.0, "
        f"doi:10.24432/C50P49); accuracy on the other quarter {100 * test_accuracy:.2f} %. Weights: Apache-2.0."
    )
    return model


def write_files(p, test_x, test_y):
    logits = forward(p, test_x)["logits"]
    test_accuracy = float(np.mean(logits.argmax(axis=1) == test_y))
    (MODELS / "digits_resnet.onnx").write_bytes(onnx_model(p, test_accuracy).SerializeToString())
    digits.save_array("digits_resnet_logits.npy", logits[:DEMO_IMAGES].astype("<f4"))


# ------------------------------------------------------------------------------------------- checking


def run_onnx(model, image):
    """Evaluates the ONNX graph node by node on one (1, 1, 8, 8) image, independently of forward()."""
    values = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    values[model.graph.input[0].name] = image.astype(np.float64)
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = evaluate(node.op_type, attributes, [values[name] for name in node.input])
    return values[model.graph.output[0].name]


def evaluate(op, attributes, x):
    if op == "Conv":
        every_pixel = digits.convolve(x[0], x[1], attributes["pads"])
        rows, columns = attributes["strides"]
        return every_pixel[:, :, ::rows, ::columns] + x[2].reshape(1, -1, 1, 1)
    if op == "Relu":
        return np.where(x[0] > 0, x[0], 0)
    if op == "Add":
        return x[0] + x[1]
    if op == "GlobalAveragePool":
        return x[0].sum(axis=(2, 3), keepdims=True) / (x[0].shape[2] * x[0].shape[3])
    return digits.evaluate(op, attributes, x)


def demand(condition, message):
    if not condition:
        sys.exit(f"train_digits_resnet: {message}")


def check(train_x, train_y, test_x, test_y):
    """Verifies the files in models/ against each other and the data set, and prints what README.md quotes."""
    model = onnx.load(str(MODELS / "digits_resnet.onnx"))
    onnx.checker.check_model(model, full_check=True)
    p = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    images, labels = np.load(MODELS / "digits_images.npy"), np.load(MODELS / "digits_labels.npy")
    logits = np.load(MODELS / "digits_resnet_logits.npy")
    from_graph = np.concatenate([run_onnx(model, image[None]) for image in images])
    difference = np.abs(from_graph - logits).max()
    demand(difference < 1e-5,
           f"digits_resnet_logits.npy: differs from the ONNX graph by {difference:.2e}, expected < 1e-5")

    test_accuracy = accuracy(p, test_x, test_y)
    print(f"train: {len(train_x)} images, accuracy {100 * accuracy(p, train_x, train_y):.2f} %")
    print(f"test:  {len(test_x)} images, accuracy {100 * test_accuracy:.2f} %")
    print(f"demo:  {int(np.sum(logits.argmax(axis=1) == labels))} of {len(labels)} labels right, "
          f"logits within {difference:.1e} of the ONNX graph's")
    print("largest |value| before each Relu and of the logits, on the training / test images:")
    on_train, on_test = forward(p, train_x), forward(p, test_x)
    for name in [layer.inputs[0] for layer in LAYERS if layer.op == "Relu"] + ["logits"]:
        print(f"  {name:<14}{np.abs(on_train[name]).max():8.3f}{np.abs(on_test[name]).max():8.3f}")
    print(f"  logit standard deviation {on_train['logits'].std():.3f}")
    top = np.sort(on_test["logits"], axis=1)
    print(f"  smallest distance of the two largest logits on the test images {(top[:, -1] - top[:, -2]).min():.4f}, "
          f"on the demo images {(top[:DEMO_IMAGES, -1] - top[:DEMO_IMAGES, -2]).min():.4f}")
    for path in sorted(MODELS.glob("digits_resnet*")):
        print(f"  {path.stat().st_size:7d} bytes  {path.name}")
    demand(test_accuracy >= MIN_ACCURACY, f"test accuracy is below {100 * MIN_ACCURACY:.0f} %")


def cross_validate(images, labels):
    """Never looks at the test images, so the settings can be chosen by it."""
    scores = []
    for fit, held_out in StratifiedKFold(5, shuffle=True, random_state=SEED).split(images, labels):
        p = train(images[fit], labels[fit], np.random.default_rng(SEED))
        scores.append(accuracy(p, images[held_out], labels[held_out]))
        print(f"fold: accuracy {100 * scores[-1]:.2f} %", flush=True)
    print(f"mean: {100 * np.mean(scores):.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="verify models/digits_resnet* without training")
    mode.add_argument("--cross-validate", action="store_true", help="score the settings on the training images only")
    arguments = parser.parse_args()
    train_x, train_y, test_x, test_y = digits.load_split()
    if arguments.cross_validate:
        cross_validate(train_x, train_y)
        return
    if not arguments.check:
        write_files(digits.rounded(train(train_x, train_y, np.random.default_rng(SEED))), test_x, test_y)
    check(train_x, train_y, test_x, test_y)


if __name__ == "__main__":
    main()
