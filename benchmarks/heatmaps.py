"""How fast our occlusion maps, captum's Occlusion and Grad-CAM run, relative to the bare forward rate of the same net.

    python -m benchmarks.heatmaps [--model resnet18] [--window 32] [--stride 8] [--rounds 3] [--device auto] [--record]

There is one image, and by default the window has 625 places. For the bare rate, one batch, already normalised and on
the device, goes through the same net again and again. Grad-CAM is of as many images as there are places and one. All of
them are timed in turns in one process, since machines are shared; the numbers to look at are the ratios. Peak memory is
that of the whole process after the first turn of each, so the last number includes the others. Run it by hand only: as
a test it would fail on a busy machine.
"""

import argparse
import resource
import statistics
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from captum.attr import Occlusion
from numpy.typing import NDArray

import stages  # noqa: F401  # sets passive waiting of threads, as in the stage
from benchmarks._record import record
from deepcovid.heatmaps.grad_cam import grad_cam
from deepcovid.heatmaps.occlusion import Window, occlusion, places
from deepcovid.nets.features import choose_device, extract, keep_large_buffers, normalised, on_device
from deepcovid.nets.trunks import build, trunk
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import FeatureSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=NETS, default="resnet18")
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    settings = FeatureSettings(device=options.device, precision=options.precision, batch_size=options.batch_size)
    window = Window(options.window, options.stride, fill=128)
    keep_large_buffers()
    net, _, dtype = on_device(trunk(options.model, build(options.model).state_dict()), settings)
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 1), dtype=np.uint8)
    count = len(places(window, 224)) ** 2 + 1

    turns: dict[str, Callable[[], NDArray[np.float32] | None]] = {
        "bare": partial(bare, net, image, count, settings, dtype),
        "occlusion": partial(ours, net, image, window, settings),
        "captum": partial(captums, net, image, window, settings, dtype),
        "grad_cam": partial(cams, options.model, net, image, count, settings),
    }
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    maps, memory = {}, {}
    for name, turn in turns.items():  # warm up
        maps[name] = turn()
        memory[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    for _ in range(options.rounds):
        for name, turn in turns.items():
            start = time.perf_counter()
            turn()
            seconds[name].append(time.perf_counter() - start)
    difference = float(np.abs(maps["occlusion"] - maps["captum"]).max())
    print(
        f"{options.model}, {count} forward passes, batch {options.batch_size}, {options.precision}, "
        f"{choose_device(options.device)}; largest difference of the maps "
        f"{difference:.2g} of {np.abs(maps['captum']).max():.2g}"
    )
    found = {}
    for name, times in seconds.items():
        ratios = [base / own for base, own in zip(seconds["bare"], times, strict=True)]
        found[name] = statistics.median(ratios)
        print(
            f"{name}: {statistics.median(times):.2f} s, {count / statistics.median(times):.1f} windows/s, of the bare "
            f"rate {found[name]:.3f} ({min(ratios):.3f} to {max(ratios):.3f}); peak memory "
            f"{memory[name]:.2f} GiB"
        )
    if options.record:
        shares = {name: found[name] for name in ("occlusion", "captum", "grad_cam")}
        record("heatmaps", shares | {"difference": difference})


def bare(
    net: torch.nn.Module, image: NDArray[np.uint8], count: int, settings: FeatureSettings, dtype: torch.dtype
) -> None:
    device = choose_device(settings.device)
    batch = normalised(torch.from_numpy(image).to(device).expand(settings.batch_size, -1, -1, -1)).to(dtype)
    with torch.inference_mode():
        for start in range(0, count, settings.batch_size):
            features = net(batch[: count - start])
        features.float().cpu()  # waits for the device


def ours(
    net: torch.nn.Module, image: NDArray[np.uint8], window: Window, settings: FeatureSettings
) -> NDArray[np.float32]:
    (heat,) = occlusion(net, image[None], lambda features: features[:, 0].astype(np.float64), window, settings)
    return heat


def captums(
    net: torch.nn.Module, image: NDArray[np.uint8], window: Window, settings: FeatureSettings, dtype: torch.dtype
) -> NDArray[np.float32]:
    device = choose_device(settings.device)
    pixels = torch.from_numpy(np.stack([image, np.full_like(image, window.fill)])).to(device)
    whole, grey = normalised(pixels).to(dtype).split(1)
    with torch.inference_mode():
        heat = Occlusion(lambda batch: net(batch).flatten(1)[:, 0].float()).attribute(
            whole,
            sliding_window_shapes=(3, window.size, window.size),
            strides=(3, window.stride, window.stride),
            baselines=grey,
            perturbations_per_eval=settings.batch_size,
        )
    return heat[0, 0].float().cpu().numpy()


def cams(model: str, net: torch.nn.Module, image: NDArray[np.uint8], count: int, settings: FeatureSettings) -> None:
    (features,) = extract(net, [image[None]], settings)
    images = np.broadcast_to(image, (count, *image.shape))
    deque(grad_cam(model, net, images, np.ones(features.shape[1], np.float32), settings), maxlen=0)


if __name__ == "__main__":
    main()
