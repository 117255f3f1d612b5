"""Runs the quantised ONNX models written by `int8_samples` in onnxruntime and compares them with our simulation.

Command:  python experiments/python/check_int8.py DIR [NAME..] [--images N]  (packages: onnx onnxruntime numpy safetensors)
Result:   one line per model; exit code 1 if a model is invalid, was left in real numbers, or is further from the
          simulation than allowed. A step is 1/255 of the range of the logits. Of a trained network, logits may differ by
          0.1 steps on average and by 6 in a thousandth of the cases, top-1 by 0.1 points (0.02 were seen). Networks of
          random weights pass a difference of one step on from layer to layer: 6 steps on average (4.4 were seen).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

# What onnxruntime makes of a network with zero points: real numbers only in hard swish and hard sigmoid.
IN_INTEGERS = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearAdd", "QLinearMul", "QLinearAveragePool",
               "QLinearGlobalAveragePool", "QGemm", "NhwcMaxPool", "MaxPool", "Flatten", "Transpose", "HardSigmoid",
               "Mul"}


def run(folder, images):
    """Logits, and the operators that onnxruntime ran."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    if not folder.name.endswith("asymmetric"):
        # Weights of 8 bits overflow on x86-64 processors without VNNI, unless told otherwise.
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    logits = [session.run(["logits"], {"image": images[i:i + 500]})[0] for i in range(0, len(images), 500)]
    return np.concatenate(logits), {node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node}


def check(folder, most):
    """A line on the model, and what is wrong with it."""
    onnx.checker.check_model(onnx.load(folder / "model.onnx"), full_check=True)
    tensors = {name: tensor[:most] for name, tensor in load_file(folder / "expected.safetensors").items()}
    found, operators = run(folder, tensors["images"])
    simulated, problems = tensors["simulated"], []
    apart = np.abs(found - simulated) / ((simulated.max() - simulated.min()) / 255)
    if not folder.name.endswith("symmetric") or folder.name.endswith("asymmetric"):
        if operators - IN_INTEGERS:
            problems.append(f"in real numbers: {', '.join(sorted(operators - IN_INTEGERS))}")
    mean, rarely = apart.mean(), np.quantile(apart, 0.999)
    line = f"{folder.name}: {100 * np.mean(found == simulated):.2f} % of the logits equal, {mean:.4f} steps apart on average"
    if "labels" not in tensors:
        if not mean <= 6:
            problems.append("too far apart")
        return line, problems
    top1 = [100 * np.mean(logits.argmax(1) == tensors["labels"]) for logits in (tensors["float"], simulated, found)]
    line += f", {rarely:.2f} in a thousandth, {apart.max():.2f} at most; top-1 of {len(found)} images: float " \
            f"{top1[0]:.2f}, simulated {top1[1]:.2f}, onnxruntime {top1[2]:.2f}"
    if not (mean <= 0.1 and rarely <= 6):
        problems.append("too far apart")
    if not abs(top1[1] - top1[2]) <= 0.1:
        problems.append("another top-1")
    return line, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("names", nargs="*", help="models to check (default: all)")
    parser.add_argument("--images", type=int, help="images of each model (default: all)")
    parser.add_argument("--show", action="store_true", help="prints the logits of onnxruntime")
    options = parser.parse_args()
    folders = sorted(path.parent for path in options.dir.glob("*/model.onnx"))
    folders = [folder for folder in folders if not options.names or folder.name in options.names]
    if len(folders) < (len(options.names) or 19):
        sys.exit(f"{options.dir} holds {len(folders)} models, expected {len(options.names) or 19}")
    failed = False
    for folder in folders:
        line, problems = check(folder, options.images)
        print("; ".join([line, *problems]), flush=True)
        if options.show:
            print(run(folder, load_file(folder / "expected.safetensors")["images"][:4])[0].tolist())
        failed |= bool(problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
