"""Times random subnets in the original's PyTorch code and in ours, alternating on the same machine.

Command:  python experiments/python/benchmark_original.py     (after cargo build --release; packages: see README.md beside this file)
Result:   for each subnet the median latency of both at batch 1 and 224 px, 2 threads each, and their ratio
"""

import argparse, json, os, random, statistics, subprocess, tempfile, time
from pathlib import Path

import torch
from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3

OFA = Path(__file__).resolve().parents[2] / "target" / "release" / "ofa"


def torch_ms(net, images, passes):
    times = []
    with torch.inference_mode():
        for number in range(passes + 5):
            began = time.perf_counter()
            net(images)
            if number >= 5:
                times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subnets", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="timings per side and subnet")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    net = OFAMobileNetV3(n_classes=1000, dropout_rate=0, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4]).eval()
    images = torch.randn(arguments.batch, 3, 224, 224)
    environment = {**os.environ, "RAYON_NUM_THREADS": str(arguments.threads)}
    ratios = []
    for _ in range(arguments.subnets):
        arch = net.sample_active_subnet()
        arch = {key: arch[key] for key in ("ks", "e", "d")}
        static = net.get_active_subnet().eval()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "arch.json"
            path.write_text(json.dumps({**arch, "image_size": 224}))
            command = [OFA, "subnet", "bench", "--space", "mobilenet_v3", "--arch", path, "--batch", str(arguments.batch), "--samples", "20", "--json"]
            ours, theirs = [], []
            for _ in range(arguments.rounds):
                measured = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
                ours.append(measured["inference"][0]["latency"]["median_ms"])
                theirs.append(torch_ms(static, images, 20))
        ratios.append(statistics.median(o / t for o, t in zip(ours, theirs)))
        print(f"ours {statistics.median(ours):.2f} ms, PyTorch {statistics.median(theirs):.2f} ms, ratio {ratios[-1]:.2f}, "
              f"extraction {measured['extraction_ms']:.2f} ms")
    print(f"median ratio {statistics.median(ratios):.2f} over {len(ratios)} subnets, batch {arguments.batch}, "
          f"{arguments.threads} threads, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
