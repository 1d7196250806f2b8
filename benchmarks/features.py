"""How near feature extraction comes to the bare forward rate of the same net, and how much memory it takes.

    python -m benchmarks.features [--model resnet18] [--images 512] [--rounds 3] [--device auto] [--record]

Bare rate: one batch, already normalised and on the device, through the same net again and again, in the best layout and
with the allocator's settings of deepcovid.nets.features. Both are timed in turns in one process, since machines are
shared; the number to look at is the ratio. By hand only: a test that times is a test that fails on a busy day.
"""

import argparse
import resource
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import stages  # noqa: F401  # as the stage runs: its threads wait asleep
from benchmarks._record import record
from deepcovid.arrays import ArrayWriter, batches
from deepcovid.nets.features import choose_device, extract, keep_large_buffers, normalised
from deepcovid.nets.trunks import build, trunk
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import FeatureSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=NETS, default="resnet18")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    settings = FeatureSettings(device=options.device, precision=options.precision, batch_size=options.batch_size)
    keep_large_buffers()
    net = trunk(options.model, build(options.model).state_dict())
    with TemporaryDirectory() as folder:
        pixels = write_pixels(Path(folder) / "pixels.npy", options.images)
        bare_rate(net, pixels, settings, options.images)  # warm up
        bare, whole = [], []
        for _ in range(options.rounds):
            bare.append(bare_rate(net, pixels, settings, options.images))
            whole.append(extract_rate(net, pixels, settings))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    values = {"bare": statistics.median(bare), "extract": statistics.median(whole)}
    values |= {"ratio": values["extract"] / values["bare"], "peak_gib": memory}
    print(
        f"{options.model}, {options.images} images, batch {options.batch_size}, {options.precision}, "
        f"{choose_device(options.device)}: bare {values['bare']:.1f} images/s, "
        f"extract {values['extract']:.1f} images/s, ratio {values['ratio']:.3f}; peak memory {memory:.2f} GiB"
    )
    if options.record:
        record("features", {options.model: values})


def write_pixels(path: Path, images: int) -> Path:
    rng = np.random.default_rng(0)
    with ArrayWriter(path, (224, 224, 1), np.uint8) as writer:
        for _ in range(images):
            writer.append(rng.integers(0, 256, (1, 224, 224, 1), dtype=np.uint8))
    return path


def bare_rate(net: torch.nn.Module, pixels: Path, settings: FeatureSettings, images: int) -> float:
    device = choose_device(settings.device)
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    net = net.to(device, dtype).to(memory_format=torch.channels_last)
    batch = normalised(torch.from_numpy(next(batches(pixels, settings.batch_size))).to(device)).to(dtype)
    rounds = max(images // settings.batch_size, 1)
    with torch.inference_mode():
        start = time.perf_counter()
        for _ in range(rounds):
            features = net(batch)
        features.float().cpu()  # waits for the device
        return rounds * len(batch) / (time.perf_counter() - start)


def extract_rate(net: torch.nn.Module, pixels: Path, settings: FeatureSettings) -> float:
    start = time.perf_counter()
    done = sum(len(features) for features in extract(net, batches(pixels, settings.batch_size), settings))
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
