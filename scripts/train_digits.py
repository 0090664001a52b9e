#!/usr/bin/python3
"""Trains the network that `make demo` evaluates under encryption and writes everything in models/.

The network is made for homomorphic evaluation: its only non-linear steps are squares, so one encrypted
forward pass needs five multiplicative levels once the batch normalisation is folded into the convolution:

    input 1x1x8x8, pixels in [0, 1]
    Conv 3x3, 8 channels, pad 1, no bias -> BatchNormalization -> x * x     (linear, square)
    Flatten -> Gemm 512 -> 32 -> Pow 2                                      (linear, square)
    Gemm 32 -> 10                                                           (linear)

Needs Debian's python3-sklearn, python3-numpy and python3-onnx, nothing else. Fixed seed: on one machine two
runs write the same bytes. Another BLAS or CPU may round differently, which changes the last bits of the weights.

    scripts/train_digits.py                   train, verify and write models/
    scripts/train_digits.py --check           verify the files in models/ without training
    scripts/train_digits.py --cross-validate  accuracy of the settings below on five folds of the training images
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, train_test_split

SEED = 20240
TEST_FRACTION = 0.25
DEMO_IMAGES = 36
CALIBRATION_IMAGES = 64

SIDE, CHANNELS, HIDDEN, CLASSES = 8, 8, 32, 10
BN_EPSILON = 1e-5

EPOCHS, BATCH = 80, 64
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 1e-4
MAX_SHIFT = 0.5  # augmentation: each image is moved by up to this many pixels in x and y
# Squares amplify large values, and encryption adds an error proportional to the largest one, so training pulls
# the inputs of both squares and the logits towards zero.
RANGE_PENALTY = 1e-3

MODELS = pathlib.Path(__file__).resolve().parent.parent / "models"


# ---------------------------------------------------------------------------------------------- data


def load_split():
    """Returns (train_x, train_y, test_x, test_y): images (n, 8, 8) in [0, 1], both parts with equal class shares."""
    digits = load_digits()
    images = digits.images / 16.0  # pixels are counts 0..16
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits.target, test_size=TEST_FRACTION, random_state=SEED, stratify=digits.target
    )
    return train_x, train_y, test_x, test_y


def moved(images, rng):
    """Moves each (8, 8) image by its own random sub-pixel offset, bilinearly, zeros entering at the border."""
    for axis in (1, 2):
        offset = rng.uniform(-MAX_SHIFT, MAX_SHIFT, size=(len(images), 1, 1))
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        padded = np.pad(images, padding)
        before = np.take(padded, range(SIDE), axis=axis)
        after = np.take(padded, range(2, SIDE + 2), axis=axis)
        neighbour = np.where(offset > 0, before, after)
        images = (1 - np.abs(offset)) * images + np.abs(offset) * neighbour
    return images


def patches(images):
    """(n, 8, 8) images to (n, 64, 9): the zero-padded 3x3 neighbourhood of each pixel, row-major both ways."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    windows = [padded[:, dy : dy + SIDE, dx : dx + SIDE] for dy in range(3) for dx in range(3)]
    return np.stack(windows, axis=-1).reshape(len(images), SIDE * SIDE, 9)


# ------------------------------------------------------------------------------------------- training


def initial_parameters(rng):
    inputs = CHANNELS * SIDE * SIDE
    return {
        "conv.weight": rng.normal(0, 1 / 3, (CHANNELS, 9)),
        "bn.weight": np.full(CHANNELS, 0.5),
        "bn.bias": np.zeros(CHANNELS),
        "fc1.weight": rng.normal(0, inputs**-0.5, (HIDDEN, inputs)),
        "fc1.bias": np.zeros(HIDDEN),
        "fc2.weight": rng.normal(0, HIDDEN**-0.5, (CLASSES, HIDDEN)),
        "fc2.bias": np.zeros(CLASSES),
    }


def loss_gradient(p, images, labels):
    """Gradient of (cross-entropy + range penalty), averaged over the batch, normalising with batch statistics."""
    n = len(images)
    # Forward. Activations are (n, pixel, channel) until the flattening, which is channel-major as in ONNX.
    columns = patches(images)
    conv = columns @ p["conv.weight"].T
    deviation = np.sqrt(conv.var(axis=(0, 1)) + BN_EPSILON)
    normal = (conv - conv.mean(axis=(0, 1))) / deviation
    bn = normal * p["bn.weight"] + p["bn.bias"]
    flat = (bn**2).transpose(0, 2, 1).reshape(n, -1)
    fc1 = flat @ p["fc1.weight"].T + p["fc1.bias"]
    square = fc1**2
    logits = square @ p["fc2.weight"].T + p["fc2.bias"]

    # Backward.
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    d_logits = exponentials / exponentials.sum(axis=1, keepdims=True)
    d_logits[np.arange(n), labels] -= 1
    d_logits = (d_logits + RANGE_PENALTY * logits) / n
    d_fc1 = 2 * fc1 * (d_logits @ p["fc2.weight"]) + RANGE_PENALTY * fc1 / n
    d_flat = (d_fc1 @ p["fc1.weight"]).reshape(n, CHANNELS, -1).transpose(0, 2, 1)
    d_bn = 2 * bn * d_flat + RANGE_PENALTY * bn / n
    d_normal = d_bn * p["bn.weight"]
    d_conv = (d_normal - d_normal.mean(axis=(0, 1)) - normal * (d_normal * normal).mean(axis=(0, 1))) / deviation
    return {
        "conv.weight": np.tensordot(d_conv, columns, axes=((0, 1), (0, 1))),
        "bn.weight": (d_bn * normal).sum(axis=(0, 1)),
        "bn.bias": d_bn.sum(axis=(0, 1)),
        "fc1.weight": d_fc1.T @ flat,
        "fc1.bias": d_fc1.sum(axis=0),
        "fc2.weight": d_logits.T @ square,
        "fc2.bias": d_logits.sum(axis=0),
    }


def train(images, labels, rng):
    """Adam with decoupled weight decay and a cosine schedule. Returns float64 parameters by PyTorch-style names."""
    p = initial_parameters(rng)
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    steps_per_epoch = len(images) // BATCH
    total = EPOCHS * steps_per_epoch
    for step in range(total):
        if step % steps_per_epoch == 0:
            order = rng.permutation(len(images))
        start = (step % steps_per_epoch) * BATCH
        batch = order[start : start + BATCH]
        gradient = loss_gradient(p, moved(images[batch], rng), labels[batch])
        rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / total))
        for name, g in gradient.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g * g
            mean = first[name] / (1 - 0.9 ** (step + 1))
            spread = np.sqrt(second[name] / (1 - 0.999 ** (step + 1)))
            decay = WEIGHT_DECAY / LEARNING_RATE * p[name] if name.endswith("weight") else 0
            p[name] = p[name] - rate * (mean / (spread + 1e-8) + decay)
    # The statistics of the whole training set, instead of a running average over batches.
    conv = patches(images) @ p["conv.weight"].T
    p["bn.running_mean"] = conv.mean(axis=(0, 1))
    p["bn.running_var"] = conv.var(axis=(0, 1))
    return p


# ------------------------------------------------------------------------------------------ inference


def forward(p, images):
    """The trained network on (n, 8, 8) images, in float64. Returns every layer's output by name."""
    n = len(images)
    conv = patches(images) @ p["conv.weight"].reshape(CHANNELS, 9).T
    scale = p["bn.weight"] / np.sqrt(p["bn.running_var"] + BN_EPSILON)
    bn = (conv - p["bn.running_mean"]) * scale + p["bn.bias"]
    flat = (bn**2).transpose(0, 2, 1).reshape(n, -1)
    fc1 = flat @ p["fc1.weight"].T + p["fc1.bias"]
    square = fc1**2
    logits = square @ p["fc2.weight"].T + p["fc2.bias"]
    return {"conv": conv, "bn": bn, "square 1": flat, "fc1": fc1, "square 2": square, "logits": logits}


def accuracy(p, images, labels):
    return float(np.mean(forward(p, images)["logits"].argmax(axis=1) == labels))


def rounded(p):
    """What the file holds (float32), as float64."""
    return {name: value.astype(np.float32).astype(np.float64) for name, value in p.items()}


def run_onnx(model, image):
    """Evaluates the ONNX graph node by node on one (1, 1, 8, 8) image, independently of forward()."""
    values = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    values[model.graph.input[0].name] = image.astype(np.float64)
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = evaluate(node.op_type, attributes, [values[name] for name in node.input])
    return values[model.graph.output[0].name]


def evaluate(op, attributes, x):
    if op == "Constant":
        return numpy_helper.to_array(attributes["value"]).astype(np.float64)
    if op == "Conv":
        return convolve(x[0], x[1], attributes["pads"])
    if op == "BatchNormalization":
        gamma, beta, mean, variance = (v.reshape(1, -1, 1, 1) for v in x[1:])
        return (x[0] - mean) / np.sqrt(variance + attributes["epsilon"]) * gamma + beta
    if op == "Mul":
        return x[0] * x[1]
    if op == "Pow":
        return x[0] ** x[1]
    if op == "Flatten":
        return x[0].reshape(len(x[0]), -1)
    if op == "Gemm":
        return x[0] @ x[1].T + x[2]
    raise ValueError(f"unexpected operator {op}")


def convolve(x, weight, pads):
    """Stride 1, by definition: one output at a time."""
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = weight.shape[2:]
    out = np.zeros((1, weight.shape[0], padded.shape[2] - height + 1, padded.shape[3] - width + 1))
    for channel, row, column in np.ndindex(*out.shape[1:]):
        window = padded[0, :, row : row + height, column : column + width]
        out[0, channel, row, column] = np.sum(window * weight[channel])
    return out


# ---------------------------------------------------------------------------------------------- files


def onnx_model(p, test_accuracy):
    """The network in the shape PyTorch would export it, opset 13, one image a run."""

    def tensor(name):
        shape = (CHANNELS, 1, 3, 3) if name == "conv.weight" else p[name].shape
        return numpy_helper.from_array(p[name].astype(np.float32).reshape(shape), name)

    def gemm(layer, data, output):
        inputs = [data, f"{layer}.weight", f"{layer}.bias"]
        return helper.make_node("Gemm", inputs, [output], name=f"/{layer}/Gemm", alpha=1.0, beta=1.0, transB=1)

    conv, bn, flat = "/conv/Conv_output_0", "/bn/BatchNormalization_output_0", "/Flatten_output_0"
    fc1, exponent = "/fc1/Gemm_output_0", "/Constant_output_0"
    bn_names = ["bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    window = dict(dilations=[1, 1], group=1, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[1, 1])
    two = numpy_helper.from_array(np.array(2.0, dtype=np.float32))
    nodes = [
        helper.make_node("Conv", ["input", "conv.weight"], [conv], name="/conv/Conv", **window),
        helper.make_node("BatchNormalization", [conv] + bn_names, [bn], name="/bn/BatchNormalization",
                         epsilon=BN_EPSILON, momentum=0.9),
        helper.make_node("Mul", [bn, bn], ["/Mul_output_0"], name="/Mul"),
        helper.make_node("Flatten", ["/Mul_output_0"], [flat], name="/Flatten", axis=1),
        gemm("fc1", flat, fc1),
        helper.make_node("Constant", [], [exponent], name="/Constant", value=two),
        helper.make_node("Pow", [fc1, exponent], ["/Pow_output_0"], name="/Pow"),
        gemm("fc2", "/Pow_output_0", "logits"),
    ]
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
        initializer=[tensor(name) for name in ["conv.weight"] + bn_names
                     + ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]],
    )
    model = helper.make_model(graph, producer_name="scripts/train_digits.py",
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    model.doc_string = (
        "Classifies 8x8 grey images of handwritten digits, 0 to 9. Input: pixels / 16, in [0, 1]. Convolution, batch "
        "normalisation and two dense layers with square activations: five multiplicative levels when encrypted. "
        "Trained by scripts/train_digits.py of Hearth on three quarters of scikit-learn's digits (UCI Optical "
        "Recognition of Handwritten Digits, test part, CC BY 4.0, doi:10.24432/C50P49); "
        f"accuracy on the other quarter {100 * test_accuracy:.2f} %. Weights: Apache-2.0."
    )
    return model


def save_array(name, array):
    with open(MODELS / name, "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)


def as_batch(images):
    """(n, 8, 8) in any float type to (n, 1, 8, 8) float32. Exact: pixels are multiples of 1/16."""
    return images.astype("<f4").reshape(-1, 1, SIDE, SIDE)


def write_files(p, train_x, test_x, test_y):
    MODELS.mkdir(exist_ok=True)
    test_logits = forward(p, test_x)["logits"]
    test_accuracy = float(np.mean(test_logits.argmax(axis=1) == test_y))
    (MODELS / "digits.onnx").write_bytes(onnx_model(p, test_accuracy).SerializeToString())
    save_array("digits_images.npy", as_batch(test_x[:DEMO_IMAGES]))
    save_array("digits_labels.npy", test_y[:DEMO_IMAGES].astype("<i4"))
    save_array("digits_logits.npy", test_logits[:DEMO_IMAGES].astype("<f4"))
    save_array("digits_calibration.npy", as_batch(train_x[:CALIBRATION_IMAGES]))


# -------------------------------------------------------------------------------------------- commands


def demand(condition, message):
    if not condition:
        sys.exit(f"train_digits: {message}")


def check(train_x, train_y, test_x, test_y):
    """Verifies the files in models/ against each other and the data set, and prints what README.md quotes."""
    model = onnx.load(str(MODELS / "digits.onnx"))
    onnx.checker.check_model(model, full_check=True)
    p = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    images, labels, logits, calibration = (
        np.load(MODELS / f"digits_{name}.npy") for name in ("images", "labels", "logits", "calibration")
    )
    demand(np.array_equal(images, as_batch(test_x[:DEMO_IMAGES])), "digits_images.npy: not the first test images")
    demand(np.array_equal(labels, test_y[:DEMO_IMAGES]), "digits_labels.npy: not the labels of the first test images")
    demand(np.array_equal(calibration, as_batch(train_x[:CALIBRATION_IMAGES])),
           "digits_calibration.npy: not the first training images")
    from_graph = np.concatenate([run_onnx(model, image[None]) for image in images])
    difference = np.abs(from_graph - logits).max()
    demand(difference < 1e-5, f"digits_logits.npy: differs from the ONNX graph by {difference:.2e}, expected < 1e-5")

    test_accuracy = accuracy(p, test_x, test_y)
    print(f"train: {len(train_x)} images, accuracy {100 * accuracy(p, train_x, train_y):.2f} %")
    print(f"test:  {len(test_x)} images, accuracy {100 * test_accuracy:.2f} %")
    print(f"demo:  {int(np.sum(logits.argmax(axis=1) == labels))} of {len(labels)} labels right, "
          f"logits within {difference:.1e} of the ONNX graph's")
    print("largest |value| per layer, on the training / test images:")
    on_train, on_test = forward(p, train_x), forward(p, test_x)
    for name, value in on_train.items():
        print(f"  {name:<10}{np.abs(value).max():8.3f}{np.abs(on_test[name]).max():8.3f}")
    print(f"  logit standard deviation {on_train['logits'].std():.3f}")
    top = np.sort(on_test["logits"], axis=1)
    print(f"  smallest distance of the two largest logits on the test images {(top[:, -1] - top[:, -2]).min():.4f}, "
          f"on the demo images {(top[:DEMO_IMAGES, -1] - top[:DEMO_IMAGES, -2]).min():.4f}")
    for path in sorted(MODELS.glob("digits*")):
        print(f"  {path.stat().st_size:7d} bytes  {path.name}")
    demand(test_accuracy >= 0.965, "test accuracy is below 96.5 %")


def cross_validate(images, labels):
    """Never looks at the test images, so the settings can be chosen by it."""
    scores = []
    for fit, held_out in StratifiedKFold(5, shuffle=True, random_state=SEED).split(images, labels):
        p = train(images[fit], labels[fit], np.random.default_rng(SEED))
        scores.append(accuracy(p, images[held_out], labels[held_out]))
        ranges = {name: round(float(np.abs(v).max()), 2) for name, v in forward(p, images[held_out]).items()}
        print(f"fold: accuracy {100 * scores[-1]:.2f} %, ranges {ranges}")
    print(f"mean: {100 * np.mean(scores):.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="verify models/ without training")
    mode.add_argument("--cross-validate", action="store_true", help="score the settings on the training images only")
    arguments = parser.parse_args()
    train_x, train_y, test_x, test_y = load_split()
    if arguments.cross_validate:
        cross_validate(train_x, train_y)
        return
    if not arguments.check:
        p = rounded(train(train_x, train_y, np.random.default_rng(SEED)))
        write_files(p, train_x, test_x, test_y)
    check(train_x, train_y, test_x, test_y)


if __name__ == "__main__":
    main()
