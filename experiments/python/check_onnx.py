"""Runs the ONNX models written by `onnx_samples` in onnxruntime and compares the outputs with our logits.

Command:  python experiments/python/check_onnx.py DIR     (packages: onnx onnxruntime numpy safetensors)
Result:   one line per model; exit code 1 if a model is invalid or its logits differ by more than 1e-4
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file


def difference(folder):
    onnx.checker.check_model(onnx.load(folder / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    tensors = load_file(folder / "expected.safetensors")
    images, logits = tensors["images"], tensors["logits"]
    # Both the whole batch and a single image, since the batch dimension is symbolic.
    found = session.run(["logits"], {"image": images})[0]
    single = session.run(["logits"], {"image": images[:1]})[0]
    worst = max(np.abs(found - logits).max(), np.abs(single - logits[:1]).max())
    return float(worst), float(logits.std())


def main():
    folders = sorted(path.parent for path in Path(sys.argv[1]).glob("*/model.onnx"))
    if len(folders) < 20:
        sys.exit(f"{sys.argv[1]} holds {len(folders)} models, expected 20")
    failed = False
    for folder in folders:
        value, spread = difference(folder)
        failed |= not value <= 1e-4
        print(f"{folder.name}: {value:.1e}, spread of the logits {spread:.2g}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
