"""Runs the ONNX models written by `onnx_samples` in onnxruntime and compares the outputs with our logits.

Command:  python experiments/python/check_onnx.py DIR     (packages: onnx onnxruntime numpy safetensors)
Result:   one line per model; exit code 1 if a model is invalid or its logits differ by more than 1e-3 of their
          standard deviation. onnxruntime sums in an order of its own on each processor: ResNet50D, the deepest, was
          seen to differ by 2e-4 of it, the others by 1e-4 at most.
"""

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file


def asked_for(name):
    """Operator set and batch size (0 for any) in the name of a folder."""
    found = re.search(r"-opset-(\d+)-batch-(\d+)$", name)
    return (int(found[1]), int(found[2])) if found else (18, 0)


def difference(folder):
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    opset, batch = asked_for(folder.name)
    if model.opset_import[0].version != opset:
        sys.exit(f"{folder.name}: opset {model.opset_import[0].version}, expected {opset}")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    tensors = load_file(folder / "expected.safetensors")
    images, logits = tensors["images"], tensors["logits"]
    found = session.run(["logits"], {"image": images})[0]
    worst = np.abs(found - logits).max()
    if batch:
        if session.get_inputs()[0].shape[0] != batch:
            sys.exit(f"{folder.name}: batch {session.get_inputs()[0].shape[0]}, expected {batch}")
    else:
        # A single image, too, since the batch dimension is symbolic.
        single = session.run(["logits"], {"image": images[:1]})[0]
        worst = max(worst, np.abs(single - logits[:1]).max())
    return float(worst / logits.std())


def main():
    folders = sorted(path.parent for path in Path(sys.argv[1]).glob("*/model.onnx"))
    if len(folders) < 32:
        sys.exit(f"{sys.argv[1]} holds {len(folders)} models, expected 32")
    failed = False
    for folder in folders:
        value = difference(folder)
        failed |= not value <= 1e-3
        print(f"{folder.name}: {value:.1e} of the standard deviation of the logits")
    sys.exit(failed)


if __name__ == "__main__":
    main()
