"""Compares `ofa` with the PyTorch original on random weights.

Command:  python experiments/python/compare_with_original.py --seed 7     (after cargo build --release; packages: see README.md beside this file)
Result:   for every published space and a few random subnets: the difference from the original's logits of
          `ofa weights logits`, of the original's static net with weights from `ofa subnet export`, and of the exported
          ONNX model; exit code 1 if they differ
"""

import argparse, json, subprocess, sys, tempfile, time
from pathlib import Path

import numpy as np
import torch
from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3, OFAProxylessNASNets, OFAResNets
from safetensors.torch import load_file, save_file

OFA = Path(__file__).resolve().parents[2] / "target" / "release" / "ofa"
MOBILE = dict(dropout_rate=0, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4])
SPACES = {
    "mobilenet_v3 1.0": lambda classes: OFAMobileNetV3(n_classes=classes, width_mult=1.0, **MOBILE),
    "mobilenet_v3 1.2": lambda classes: OFAMobileNetV3(n_classes=classes, width_mult=1.2, **MOBILE),
    "proxyless_nas 1.3": lambda classes: OFAProxylessNASNets(n_classes=classes, width_mult=1.3, **MOBILE),
    "resnet50d": lambda classes: OFAResNets(
        n_classes=classes, dropout_rate=0, depth_list=[0, 1, 2], expand_ratio_list=[0.2, 0.25, 0.35], width_mult_list=[0.65, 0.8, 1.0]
    ),
}


def randomise(net):
    """Randomises batch norms and kernel transforms, so that no mistake in them goes unnoticed."""
    for name, parameter in net.named_parameters():
        if name.endswith("_matrix"):
            parameter.data += 0.1 * torch.randn_like(parameter)
        if ".bn" in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.data = 0.2 * torch.randn_like(buffer)
        if name.endswith("running_var"):
            buffer.data = 0.5 + torch.rand_like(buffer)


def run(command, *arguments):
    began = time.time()
    subprocess.run([OFA, *command.split(), *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.time() - began


def onnx_logits(path, images):
    import onnx, onnxruntime

    onnx.checker.check_model(onnx.load(path), full_check=True)
    return onnxruntime.InferenceSession(path).run(["logits"], {"image": images.numpy()})[0]


def compare(space, make, arguments, folder):
    torch.manual_seed(arguments.seed)
    np.random.seed(arguments.seed)
    import random

    random.seed(arguments.seed)
    net = make(arguments.classes).eval()
    randomise(net)
    name, *width = space.split()
    options = ["--space", name, *(["--width", *width] if width else [])]
    torch.save({"state_dict": net.state_dict()}, folder / "net.pth")
    seconds = run("weights import", *options, "--checkpoint", folder / "net.pth", "--out", folder / "supernet")
    print(f"{space}: imported in {seconds:.2f} s")
    worst = 0.0
    for number in range(arguments.subnets):
        arch = net.sample_active_subnet()
        arch = {key: arch[key] for key in ("ks", "e", "d", "w") if arch.get(key) is not None}
        size = random.choice([128, 144, 160, 224])
        images = torch.randn(3, 3, size, size)
        with torch.no_grad():
            expected = net(images).numpy()
            static = net.get_active_subnet(preserve_weight=False).eval()
        (folder / "arch.json").write_text(json.dumps({**arch, "image_size": size}))
        save_file({"images": images}, folder / "images.safetensors")
        run("weights logits", *options, "--checkpoint", folder / "net.pth", "--arch", folder / "arch.json",
            "--images", folder / "images.safetensors", "--out", folder / "logits.safetensors")
        exported = folder / f"exported{number}"
        run("subnet export", folder / "supernet", "--arch", folder / "arch.json", "--out", exported)
        static.load_state_dict(load_file(exported / "weights.safetensors"), strict=True)
        with torch.no_grad():
            found = {
                "ofa weights logits": load_file(folder / "logits.safetensors")["logits"].numpy(),
                "static net": static(images).numpy(),
                "ONNX": onnx_logits(exported / "model.onnx", images),
            }
        spread = expected.std()
        differences = {key: float(np.abs(logits - expected).max() / spread) for key, logits in found.items()}
        worst = max(worst, *differences.values())
        print(f"  {size} px, logits spread {spread:.3g}: " + ", ".join(f"{key} {value:.1e}" for key, value in differences.items()))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--subnets", type=int, default=5, help="number of subnets per space")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed difference, relative to the standard deviation of the logits")
    arguments = parser.parse_args()
    failed = []
    for space, make in SPACES.items():
        with tempfile.TemporaryDirectory() as folder:
            worst = compare(space, make, arguments, Path(folder))
        if not worst <= arguments.tolerance:
            failed.append(f"{space} is off by {worst:.1e}")
    sys.exit("; ".join(failed) if failed else 0)


if __name__ == "__main__":
    main()
