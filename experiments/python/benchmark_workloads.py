"""Times one workload in PyTorch, the other side of `ofa bench pytorch`; `mobilenet_v3` is the original's code, width 1.

Command:  python experiments/python/benchmark_workloads.py train-step --space mobilenet_v3 --resolution 128 --batch 16
          (packages: see README.md beside this file)
Result:   milliseconds of every repetition and the process's peak memory, as JSON
"""

import argparse, json, resource, time
from pathlib import Path

import torch
import torch.nn.functional as F
from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3
from ofa.imagenet_classification.elastic_nn.utils import set_running_statistics
from small_mobilenet_v3 import small_mobilenet_v3
from torch.utils.flop_counter import FlopCounterMode

# Same as in experiments/src/bench/workload.rs.
CALIBRATION_BATCHES, EVALUATION_BATCHES = 4, 8
LARGEST = {"ks": 7, "e": 6, "d": 4}


def optimizer(net):
    """The original's optimizer: no weight decay for the one-dimensional parameters (batch norm and biases)."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 3e-5}, {"params": others, "weight_decay": 0}]
    return torch.optim.SGD(groups, 0.01, momentum=0.9, nesterov=True)


def original():
    """The supernet `mobilenet_v3`."""
    return OFAMobileNetV3(n_classes=1000, dropout_rate=0, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4])


def subnet(supernet, arch):
    """Extracts a subnet; `small_mobilenet_v3` is not a supernet here and is returned unchanged."""
    if not isinstance(supernet, OFAMobileNetV3):
        return supernet
    supernet.set_active_subnet(**arch)
    return supernet.get_active_subnet()


def prepare(work, supernet, archs, make_batch, compiled):
    """A function that does the work once per call; `compiled` wraps networks that do not change."""
    images = make_batch()
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
    if work == "inference":
        net, images = compiled(subnet(supernet, archs[0]).eval()), make_batch()

        def inference():
            with torch.inference_mode():
                net(images)

        return inference
    if work == "calibrate-evaluate":
        calibration = [(make_batch(), labels) for _ in range(CALIBRATION_BATCHES)]
        evaluation = [make_batch() for _ in range(EVALUATION_BATCHES)]

        def calibrate_evaluate():
            net = subnet(supernet, archs[0]).eval()
            set_running_statistics(net, calibration)
            with torch.inference_mode():
                for images in evaluation:
                    net(images).argmax(1)

        return calibrate_evaluate
    largest, images = subnet(supernet, LARGEST).train(), make_batch()
    if work == "train-step":
        sgd, net = optimizer(largest), compiled(largest)

        def train_step():
            sgd.zero_grad()
            F.cross_entropy(net(images), labels, label_smoothing=0.1).backward()
            sgd.step()

        return train_step
    sgd = optimizer(supernet.train())

    def shrink_step():
        sgd.zero_grad()
        with torch.no_grad():
            soft = largest(images).softmax(1)
        for arch in archs:
            supernet.set_active_subnet(**arch)
            logits = supernet(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=0.1) + F.cross_entropy(logits, soft)
            loss.backward()
        sgd.step()

    return shrink_step


def check_cost(net, image, expected):
    """Exits if parameters or MACs differ from those of the network that our side times."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(image)
    cost = [sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2]
    if cost != expected:
        raise SystemExit(f"[parameters, MACs] are {cost} in PyTorch, but {expected} in ours")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=["train-step", "shrink-step", "inference", "calibrate-evaluate"])
    parser.add_argument("--space", choices=["mobilenet_v3", "small_mobilenet_v3"], required=True)
    parser.add_argument("--resolution", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--arch", type=Path, action="append", default=[], help="JSON file with a dictionary of the original; may be repeated [default: the largest]")
    parser.add_argument("--warm-ups", type=int, default=2)
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="a device of PyTorch, such as cuda")
    parser.add_argument("--bf16", action="store_true", help="passes in bfloat16 (autocast)")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true", help="use torch.compile; for train-step and inference, whose network is fixed")
    parser.add_argument("--cost", type=int, nargs=2, metavar=("PARAMETERS", "MACS"), help="expected cost of the first network, for one image")
    arguments = parser.parse_args()
    small = arguments.space == "small_mobilenet_v3"
    if small and (arguments.work != "train-step" or arguments.arch):
        parser.error("small_mobilenet_v3 is implemented here as its largest network only, for train-step")
    if arguments.compile and arguments.work not in ("train-step", "inference"):
        parser.error(f"{arguments.work} changes its network, so torch.compile would recompile it every time")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    supernet = small_mobilenet_v3() if small else original()
    device = torch.device(arguments.device)
    supernet.to(device, memory_format=layout)
    read = [json.loads(path.read_text()) for path in arguments.arch]
    archs = [{key: arch[key] for key in ("ks", "e", "d")} for arch in read] or [LARGEST]
    size = (arguments.batch, 1 if small else 3, arguments.resolution, arguments.resolution)
    compiled = torch.compile if arguments.compile else lambda net: net
    work = prepare(arguments.work, supernet, archs, lambda: torch.randn(size).to(device, memory_format=layout), compiled)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    times = []
    for number in range(arguments.warm_ups + arguments.samples):
        wait()
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bf16):
            work()
        wait()
        if number >= arguments.warm_ups:
            times.append(1e3 * (time.perf_counter() - began))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if arguments.cost:
        check_cost(subnet(supernet, archs[0]), torch.randn(1, *size[1:], device=device), arguments.cost)
    print(json.dumps({"samples_ms": times, "peak_memory_mib": memory}))


if __name__ == "__main__":
    main()
