#!/usr/bin/env python3
"""Times torchvision with Pillow on an ImageFolder: the standard training pipeline, from file bytes to normalised tensor.

    python benchmark_images.py DIR --resolution 224 --images 1000 --repeat 3                 # one process, one thread
    python benchmark_images.py DIR --resolution 224 --images 1000 --repeat 3 --processes 2   # two processes, one thread each

Pipeline: decode and convert to RGB, RandomResizedCrop (0.08 to 1 of the area, bilinear, antialiased), horizontal flip,
colour jitter ("tf" of the original Once-for-All: brightness 32/255, saturation 0.5), ToTensor, Normalize; output
float32, CHW.

Files are read into memory first, and each process warms up on its share once. Neither is timed, nor is process startup.
Prints one line of JSON. CPU time is summed over processes; wall time runs from the first start to the last end.
Needs `pip install torch torchvision pillow`; exit code 3 without them.
"""

import argparse
import io
import json
import multiprocessing
import pathlib
import sys
import time

try:
    import PIL
    import torch
    import torchvision
    from PIL import Image
    from torchvision import transforms
except ImportError as error:
    print(f"{error}: `pip install torch torchvision pillow` first (torch 2.9 goes with torchvision 0.24)", file=sys.stderr)
    sys.exit(3)

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def pipeline(resolution):
    return transforms.Compose([
        transforms.RandomResizedCrop(resolution, scale=(0.08, 1.0), antialias=True),  # bilinear is its default
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(brightness=32 / 255, saturation=0.5),
        transforms.ToTensor(),
        transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ])


def work(paths, indices, args, barrier, results):
    """Processes the images of `indices` and puts (CPU seconds, start, end) into `results`."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(indices.start)
    transform = pipeline(args.resolution)
    share = [paths[index % len(paths)] for index in indices]
    files = {path: path.read_bytes() for path in set(share)}

    def process(path):
        with Image.open(io.BytesIO(files[path])) as image:
            tensor = transform(image.convert("RGB"))
        assert tensor.shape == (3, args.resolution, args.resolution) and tensor.dtype == torch.float32, path

    try:
        for path in share[: -(-len(share) // args.repeat)]:
            process(path)
    except BaseException:
        barrier.abort()  # so the other processes do not wait for this one
        raise
    barrier.wait()
    cpu, start = time.process_time(), time.monotonic()  # the monotonic clock is the same in every process
    for path in share:
        process(path)
    results.put((time.process_time() - cpu, start, time.monotonic()))


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR", type=pathlib.Path, help="ImageFolder: DIR/train/CLASS/*")
    parser.add_argument("--resolution", type=positive, default=224)
    parser.add_argument("--images", type=positive, default=1000, help="first N training images by path, cycled if fewer")
    parser.add_argument("--list", type=pathlib.Path, help="file of image paths, one per line, to use instead")
    parser.add_argument("--repeat", type=positive, default=3, help="number of passes over the images")
    parser.add_argument("--threads", type=positive, default=1, help="torch threads per process")
    parser.add_argument("--processes", type=positive, default=1)
    args = parser.parse_args()
    if args.list:
        paths = [pathlib.Path(line) for line in args.list.read_text().splitlines()]
        args.images = len(paths)
    else:
        paths = sorted(path for path in args.dir.glob("train/*/*") if path.suffix.lower() in EXTENSIONS)
    if not paths:
        parser.error(f"no images in {args.list or args.dir / 'train/CLASS/'}")
    paths = [paths[index % len(paths)] for index in range(args.images)]

    barrier, results = multiprocessing.Barrier(args.processes), multiprocessing.SimpleQueue()
    shares = [range(args.images * args.repeat)[k :: args.processes] for k in range(args.processes)]
    workers = [multiprocessing.Process(target=work, args=(paths, share, args, barrier, results)) for share in shares]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit("a process failed")
    times = [results.get() for _ in workers]

    images = args.images * args.repeat
    pillow = "Pillow-SIMD" if ".post" in PIL.__version__ else "Pillow"
    print(json.dumps({
        "pipeline": f"torchvision {torchvision.__version__} + {pillow} {PIL.__version__}",
        "resolution": args.resolution,
        "images": args.images,
        "processes": args.processes,
        "cpu_ms_per_image": round(1000 * sum(cpu for cpu, _, _ in times) / images, 4),
        "wall_ms_per_image": round(1000 * (max(end for _, _, end in times) - min(start for _, start, _ in times)) / images, 4),
    }))


if __name__ == "__main__":
    main()
