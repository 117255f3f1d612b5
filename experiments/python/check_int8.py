"""Runs the quantised ONNX models written by `int8_samples` in onnxruntime and compares them with our simulation.

Command:  python experiments/python/check_int8.py DIR     (packages: onnx onnxruntime numpy safetensors)
Result:   one line per model; exit code 1 if a model is invalid, was not run in integers, or its logits or its top-1
          accuracy are further from the simulated ones than allowed. A step is 1/255 of the range of the logits.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file


def run(folder, images):
    """Logits, and the operators that onnxruntime computed on real numbers."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    logits = [session.run(["logits"], {"image": images[i:i + 500]})[0] for i in range(0, len(images), 500)]
    operators = {}
    for node in onnx.load(folder / "optimised.onnx").graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    return np.concatenate(logits), operators


def main():
    failed = False
    for folder in sorted(path.parent for path in Path(sys.argv[1]).glob("*/model.onnx")):
        onnx.checker.check_model(onnx.load(folder / "model.onnx"), full_check=True)
        tensors = load_file(folder / "expected.safetensors")
        found, operators = run(folder, tensors["images"])
        simulated, real = tensors["simulated"], tensors["float"]
        step = (simulated.max() - simulated.min()) / 255
        apart = np.abs(found - simulated) / step
        line = f"{folder.name}: steps: mean {apart.mean():.4f}, 99.9 % {np.quantile(apart, 0.999):.3f}, most {apart.max():.2f}; equal {np.mean(found == simulated):.4f}; float apart {(np.abs(found-real)/step).mean():.2f}"
        if "labels" in tensors:
            top1 = [100 * (x.argmax(1) == tensors["labels"]).mean() for x in (real, simulated, found)]
            line += f"; top-1 float {top1[0]:.2f}, simulated {top1[1]:.2f}, onnxruntime {top1[2]:.2f}"
            failed |= abs(top1[1] - top1[2]) > 0.1
        print(line, operators if "-v" in sys.argv else "")
    sys.exit(failed)


if __name__ == "__main__":
    main()
