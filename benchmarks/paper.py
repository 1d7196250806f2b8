"""How long the whole experiment takes on the paper's images, and how long the released script would take.

    DEEPCOVID_MIRROR=FOLDER python -m benchmarks.paper [--record]

The experiment is three nets, three recipes and their seeds on covid-xray-5k, from the archive to the report, with a
ladder of each net. It leaves out whole nets, hidden squares, heat maps, other people's images and other splits. It
runs in a clone of the committed state with an empty cache, in the environment of this process.

Then heads are trained on as many other splits as params.yaml says, in a run of `train` that remembers the heads on the
published split. For it `features` runs again as a whole. The time of the copies that other splits need is computed from
it, by their number.

The released script runs ResNet18 over all images in every epoch. The stage `replay` does the same. In the same clone it
is timed for one epoch and for three, and half of the difference is one epoch. All of this takes half an hour. Run it by
hand only.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory

from joblib import cpu_count

from benchmarks._record import record
from deepcovid.files import read_csv
from stages._resolved import read_settings
from tests.checkouts import PATH

DATASET, RECIPE = "covid-xray-5k", "released-code-replayed"
SPLITS = "defaults.resplits"
EPOCHS = 100  # the released script's own default
NETS = "[resnet18,resnet50,squeezenet1_0]"
PLAIN = [f"datasets=[{DATASET}]", f"models={NETS}", "test_sets=[]", "audited_models=[]", "heatmapped_models=[]"]
LADDERS = f"replayed_models={NETS}"  # none of which is replayed, as `replays` is empty


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    if not os.environ.get("DEEPCOVID_MIRROR"):
        sys.exit("error: DEEPCOVID_MIRROR is not set; set it to a folder with the paper's images")
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(clone)], check=True)
        stages = timed(clone, [*PLAIN, LADDERS, f"{SPLITS}=0"])
        data = clone / "data" / DATASET
        images, spare = (len(read_csv(part / "images.csv", ("image_id",))) for part in (data, data / "spare"))
        number = len(read_settings().dataset[DATASET].resplits)
        splits = timed(clone, [*PLAIN, LADDERS, f"{SPLITS}={number}"], "train")
        # What one run sets stays set for the next.
        replay = ["replayed_models=[resnet18]", f"replays=[{RECIPE}]", f"++dataset.{DATASET}.replay.runs=[0]"]
        few, more = (
            timed(clone, [*PLAIN, *replay, f"++dataset.{DATASET}.replay.epochs={epochs}"], "replay")["replay"]
            for epochs in (1, 3)
        )
    whole, epoch = sum(stages.values()) / 60, (more - few) / 2
    for_splits = {"features": spare / (images + spare) * splits["features"], "train": splits["train"]}
    for name, seconds in stages.items():
        print(f"{name:12} {seconds:6.0f} s")
    print(f"{number} other splits: {for_splits['features']:.0f} s for copies, {for_splits['train']:.0f} s to train")
    released = EPOCHS * epoch / 60
    print(
        f"the experiment {whole:.1f} minutes; the released script {epoch:.0f} s an epoch of ResNet18, which makes "
        f"{released:.0f} minutes for {EPOCHS}: {released / whole:.0f} times as long, for one net, recipe and seed"
    )
    if options.record:
        script = {"epochs": EPOCHS, "epoch_seconds": epoch, "minutes": released, "ratio": released / whole}
        others = {"number": number, "copies": spare, "seconds": for_splits}
        values = {"minutes": whole, "stages": stages, "other_splits": others, "released": script}
        record("paper", {"cores": cpu_count()} | values)


def timed(clone: Path, settings: list[str], *targets: str) -> dict[str, float]:
    """Run the pipeline with some settings and return the seconds of each stage that ran, summed over its nets.

    Args:
        clone: Folder of the clone.
        settings: As `dvc exp run -S` takes them.
        targets: Stages to run, with the stages that they need. If there are none, all stages run.
    """
    command = ["dvc", "exp", "run", *(part for value in settings for part in ("-S", value)), *targets]
    seconds: dict[str, float] = {}
    name, start = "", time.perf_counter()
    with subprocess.Popen(
        command, cwd=clone, env=os.environ | {"PATH": PATH}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        said: deque[str] = deque(maxlen=20)
        for line in process.stdout:
            said.append(line)
            if line.startswith(("Running stage", "Stage '")):
                now = time.perf_counter()
                if name:
                    seconds[name] = seconds.get(name, 0) + now - start
                name, start = line.split("'")[1].split("@")[0] if line.startswith("Running") else "", now
    if process.returncode:
        sys.exit(f"{' '.join(command)}: {''.join(said).strip()[-2000:]}")
    return seconds | ({name: seconds.get(name, 0) + time.perf_counter() - start} if name else {})


if __name__ == "__main__":
    main()
