"""How fast passes over images run, relative to the bare forward rate of the same net, and how much memory they take.

    python -m benchmarks.features [--model resnet18] [--images 512] [--rounds 3] [--device auto]
        [--batch-size 32] [--precision fp32] [--record]

For the bare rate, one batch goes through the same net again and again. The batch is already normalised and on the
device, in the best memory layout, with the allocator's settings of deepcovid.nets.features. A pass reads images from a
file, makes features in shards, writes these and joins them. It is timed for images as they are, and for images whose
middle is hidden. A pass also starts processes and loads the net, so over few images its share is lower.

On a CPU all of this is done in a process of one thread for each core. Beside it, a pass is timed in one process whose
threads share each batch, and wait as those of a stage do. All of them take turns, since machines are shared; the
numbers to look at are the ratios.

On CUDA the rate at which all cores decode images is measured too, and the numbers are kept by net, precision and batch
size in a file of their own. Run it by hand only: as a test it would fail on a busy machine.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from joblib import cpu_count

import stages  # noqa: F401  # sets passive waiting of threads, as in the stage
from benchmarks import scale
from benchmarks._record import record
from deepcovid.arrays import ArrayWriter, batches
from deepcovid.audits.hiding import Square, hide
from deepcovid.files import Known
from deepcovid.nets.features import (
    FeaturePass,
    choose_device,
    keep_large_buffers,
    normalised,
    on_cuda,
    on_device,
)
from deepcovid.nets.trunks import build, trunk, write_state
from deepcovid.nets.zoo import NETS
from deepcovid.passes.forked import at_once
from deepcovid.passes.shards import passing, write_array
from deepcovid.settings.analyses import FeatureSettings

SQUARE = Square(0.75, "outside")
DECODED = 2000  # images


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
    state = build(options.model).state_dict()
    net = trunk(options.model, state)
    on_cpu = not on_cuda(settings)
    with TemporaryDirectory() as name:
        folder = Path(name)
        pixels, weights = write_pixels(folder / "pixels.npy", options.images), folder / "net.safetensors"
        write_state(weights, options.model, state)
        plain = FeaturePass(Known.of(weights), Known.of(pixels), options.images, settings)
        kinds = {"pass": plain, "hidden": plain._replace(view=partial(hide, square=SQUARE))}
        bare = partial(bare_rate, net, pixels, settings, options.images // (cpu_count() if on_cpu else 1))
        ways: dict[str, Callable[[], float]] = {"bare": partial(on_each_core, bare) if on_cpu else bare}
        ways |= {kind: partial(pass_rate, folder, own, alone=not on_cpu) for kind, own in kinds.items()}
        if on_cpu:
            ways["one_process"] = partial(pass_rate, folder, plain, alone=True)
        else:
            for way in ways.values():  # warm up
                way()
        rounds = [{kind: way() for kind, way in ways.items()} for _ in range(options.rounds)]
    memory = resource.getrusage(resource.RUSAGE_CHILDREN if on_cpu else resource.RUSAGE_SELF).ru_maxrss / 2**20
    values = {kind: statistics.median(one[kind] for one in rounds) for kind in ways}
    print(
        f"{options.model}, {options.images} images, batch {options.batch_size}, {options.precision}, "
        f"{choose_device(options.device)}; peak memory of a process {memory:.2f} GiB"
    )
    for kind, rate in values.items():
        print(f"{kind:14} {rate:6.1f} images/s, {rate / values['bare']:.3f} of the bare rate")
    if on_cpu:
        found = {options.model: values | {"images": options.images, "peak_gib": memory}}
    else:
        values |= {"decoding": decoding_rate(DECODED), "peak_gib": torch.cuda.max_memory_allocated() / 2**30}
        print(f"decoding on {cpu_count()} cores {values['decoding']:.0f} images/s")
        facts = {"device": torch.cuda.get_device_name(), "cores": cpu_count(), "model": options.model}
        facts |= {"precision": options.precision, "batch_size": options.batch_size}
        found = {f"{options.model} {options.precision} {options.batch_size}": facts | values}
    if options.record:
        record("features" if on_cpu else "features_cuda", found)


def write_pixels(path: Path, images: int, side: int = 224) -> Path:
    rng = np.random.default_rng(0)
    with ArrayWriter(path, (side, side, 1), np.uint8) as writer:
        for _ in range(images):
            writer.append(rng.integers(0, 256, (1, side, side, 1), dtype=np.uint8))
    return path


def bare_rate(net: torch.nn.Module, pixels: Path, settings: FeatureSettings, images: int) -> float:
    net, device, dtype = on_device(net, settings)
    batch = normalised(torch.from_numpy(next(batches(pixels, settings.batch_size))).to(device)).to(dtype)
    rounds = max(images // settings.batch_size, 1)
    with torch.inference_mode():
        start = time.perf_counter()
        for _ in range(rounds):
            features = net(batch)
        features.float().cpu()  # waits for the device
        return rounds * len(batch) / (time.perf_counter() - start)


def on_each_core(rate: Callable[[], float]) -> float:
    """Return the sum of the rates of a process of one thread for each core."""

    def alone() -> float:
        torch.set_num_threads(1)
        return rate()

    return sum(at_once([alone] * cpu_count()))


def decoding_rate(images: int) -> float:
    with TemporaryDirectory() as folder, chdir(folder):
        scale.draw(folder, images, scale.FILE_SIDE)
        scale.write_catalogue(folder, images)
        work = scale.decode(images, scale.REAL_SIDE)
        start = time.perf_counter()
        work()
        return images / (time.perf_counter() - start)


def pass_rate(folder: Path, own: FeaturePass, *, alone: bool) -> float:
    start = time.perf_counter()
    with passing(folder / "unfinished", dict, alone=alone) as run:
        write_array(folder / "features.npy", run("images", [own], "images"))
    return own.rows / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
