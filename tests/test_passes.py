"""Passes give the same bytes whoever does the work, go on after a kill, and leave nothing."""

import errno
import gc
import io
import os
import pickle
import signal
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from deepcovid import catalogue
from deepcovid.arrays import ArrayWriter, Stored
from deepcovid.audits.hiding import SHUFFLED, Square, hide
from deepcovid.files import Known, KnownArchives
from deepcovid.heads import of_net
from deepcovid.heads.resplit import on_splits
from deepcovid.heads.scoring import score
from deepcovid.heads.sweep import joined, scoring_jobs, training_jobs
from deepcovid.heatmaps.explained import Explained
from deepcovid.heatmaps.occlusion import Window
from deepcovid.images.augmentation import with_copies
from deepcovid.images.decoding import decoded_images, usable, write_images
from deepcovid.images.image_pass import ImagePass, made
from deepcovid.images.resizing import resize_and_crop, resized
from deepcovid.nets.features import FeaturePass
from deepcovid.nets.trunks import build, read_state, trunk, write_state
from deepcovid.passes import executors, shards
from deepcovid.passes.executors import executor
from deepcovid.passes.remembered import Job, remembering
from deepcovid.passes.shards import passing, write_array
from deepcovid.settings.analyses import FeatureSettings
from deepcovid.settings.recipes import Recipe
from tests.checkouts import ROOT, run
from tests.passes import Squares, cluster, versions
from tests.test_augmentation import SETTINGS
from tests.test_resplit import RELEASED, table_of
from tests.trained import PAPER, random_head

ROWS, STEP = 20, 2  # rows, and those of a shard
# Processes that start anew take seconds to load torch.
EXECUTORS = ["fork", *(pytest.param(name, marks=pytest.mark.pipeline) for name in ("loky", "dask"))]
FEATURES = FeatureSettings(device="cpu", precision="fp32", batch_size=4)


@pytest.fixture(autouse=True)
def none_chosen(monkeypatch):
    for name in (executors.EXECUTOR, executors.WORKERS, executors.ADDRESS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "5s")


@pytest.fixture(scope="module")
def dask_address(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as (address, _):
        yield address


@pytest.fixture(params=EXECUTORS)
def chosen(request, monkeypatch):
    """The name of each executor in turn, chosen as users do."""
    choose(monkeypatch, request.param, request.param == "dask" and request.getfixturevalue("dask_address"))
    return request.param


def choose(monkeypatch, name, address=None):
    monkeypatch.setenv(executors.EXECUTOR, name)
    monkeypatch.setenv(executors.WORKERS, "2")
    if address:
        import dask

        monkeypatch.setenv(executors.ADDRESS, address)
        dask.config.refresh()  # a process reads the environment when it imports dask


def squares(rows=ROWS, factor=1):
    numbers = np.arange(rows, dtype=np.float32)
    return np.stack([numbers, factor * numbers**2], axis=1)


def write(tmp_path, *parts):
    """Write what comes of passes to numbers.npy and return it."""
    with passing(tmp_path / "unfinished", versions) as run:
        write_array(tmp_path / "numbers.npy", run("numbers", parts, "squaring"))
    return np.load(tmp_path / "numbers.npy")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two files: random images, the last batch of which is small, and a net."""
    folder = tmp_path_factory.mktemp("images")
    with ArrayWriter(folder / "pixels.npy", (64, 64, 1), np.uint8) as writer:
        writer.append(np.random.default_rng(0).integers(0, 256, (70, 64, 64, 1), dtype=np.uint8))
    torch.manual_seed(0)
    write_state(folder / "net.safetensors", "squeezenet1_1", build("squeezenet1_1").state_dict())
    return folder


def feature_passes(folder):
    """A pass over all images, two with the middle hidden, and one over some of them at another size."""
    wanted = np.random.default_rng(1).random(70) < 0.3
    wanted[:40] = False  # whole shards of none
    files = Known.of(folder / "net.safetensors"), Known.of(folder / "pixels.npy")
    own = partial(FeaturePass, *files, 70, FEATURES)
    hidden = [own(view=partial(hide, square=square)) for square in (Square(0.75, "outside"), SHUFFLED)]
    return {"images": [own()], "hidden": hidden, "external": [own(wanted=wanted, view=partial(resized, size=96))]}


def features(folder, target):
    with passing(target / "unfinished", versions) as run:
        for name, parts in feature_passes(folder).items():
            write_array(target / f"{name}.npy", run(name, parts, name))
    return {name: (target / f"{name}.npy").read_bytes() for name in ("images", "hidden", "external")}


@pytest.fixture
def two_threads():
    """Let torch work on two threads, as in a stage: the last bits of a small batch's features depend on that number."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.ones(1 << 20).exp()  # starts them: a process that is forked later does not have them
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def in_one_process(images, tmp_path_factory):
    with pytest.MonkeyPatch.context() as alone:
        alone.setenv(executors.EXECUTOR, "fork")
        alone.setenv(executors.WORKERS, "1")
        return features(images, tmp_path_factory.mktemp("one"))


def test_features_are_the_same_bytes_whoever_does_the_work(images, in_one_process, chosen, two_threads, tmp_path):
    assert features(images, tmp_path) == in_one_process
    assert sorted(path.name for path in tmp_path.iterdir()) == ["external.npy", "hidden.npy", "images.npy"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A zip of 300 small images, two of them in colour and one of them none, with a catalogue of several shards."""
    folder, random = tmp_path_factory.mktemp("archive"), np.random.default_rng(0)
    rows = []
    with zipfile.ZipFile(folder / "a.zip", "w") as target:
        for number in range(300):
            stream, shape = io.BytesIO(), (40, 40, 3) if number in (7, 270) else (40, 40)
            Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(stream, "PNG")
            target.writestr(f"{number}.png", b"no image" if number == 9 else stream.getvalue())
            split = "train" if number % 2 else "test"
            label = "covid" if number < 12 or number > 290 else "non"
            own = {"image_id": str(number), "archive": "a.zip", "member": f"{number}.png", "label": label}
            rows.append(own | {"split": split, "augmentation_of": "9" if number == 11 else ""})
    catalogue.write(folder / "images.csv", catalogue.checked(pd.DataFrame(rows), "test"))
    return folder


AUGMENT = SETTINGS.model_copy(update={"copies": 2, "elastic_alpha": 9.0})


def test_images_and_copies_are_the_same_bytes_whoever_makes_them(archive, chosen, tmp_path):
    listed, found, expected = archive / "images.csv", {}, {}
    table = catalogue.read(listed)
    whole = ImagePass(Known.of(listed), 300, KnownArchives.of(archive), 32, AUGMENT, ("train", "test"))
    with passing(tmp_path / "unfinished", versions) as run:
        rows = usable(made(listed, run("images", [whole], "images"), ("train",)), found)
        write_images(rows, tmp_path / "shared.npy", tmp_path / "shared.csv", table.columns, 32)
    rows = with_copies(decoded_images(table, archive, expected, resize_and_crop(32)), AUGMENT)
    write_images(rows, tmp_path / "alone.npy", tmp_path / "alone.csv", table.columns, 32)
    for name in ("npy", "csv"):
        assert (tmp_path / f"shared.{name}").read_bytes() == (tmp_path / f"alone.{name}").read_bytes()
    assert list(found.items()) == list(expected.items())
    assert found["11"] == "its original, 9, cannot be used"
    assert catalogue.read(tmp_path / "shared.csv")["image_id"].tolist()[:6] == ["0", "1", "1+1", "1+2", "2", "3"]


def test_heat_maps_are_the_same_bytes_whoever_makes_them(images, chosen, tmp_path):
    places = [5, 3, 69, 0, 8, 40, 41]  # ten views each, in shards of eight
    explained = Explained("squeezenet1_1", random_head(), Window(24, 20, 128), FEATURES)
    files = Known.of(images / "net.safetensors"), Known.of(images / "pixels.npy")
    with passing(tmp_path / "unfinished", versions) as run:
        found = {name: list(maps) for name, maps in explained.maps_in_shards(run, *files, places, (64, 64)).items()}
    expected = explained.maps(trunk(*read_state(images / "net.safetensors")), np.load(images / "pixels.npy")[places])
    for name, maps in expected.items():
        assert np.array_equal(found[name], list(maps))


def test_passes_stand_in_the_file_one_after_the_other(chosen, tmp_path):
    found = write(tmp_path, Squares(ROWS, tmp_path), Squares(3, tmp_path, factor=2))
    assert np.array_equal(found, np.concatenate([squares(), squares(3, factor=2)]))
    assert sorted(Squares(ROWS, tmp_path).log()) == sorted([*range(0, ROWS, STEP), 0, 1, 2])


class Processes(NamedTuple):
    """A pass that returns the process in which it runs."""

    rows: int = 2
    batch_size: int = 1

    def __call__(self, start, stop):
        return np.full(stop - start, os.getpid())


@pytest.mark.parametrize("rows", [1, 2])  # one shard is no exception: a pass sets how many threads its process uses
@pytest.mark.parametrize(("workers", "alone"), [("1", False), ("2", True), ("2", False)])
def test_forked_processes_do_the_work_unless_it_is_one_or_wants_to_be_alone(
    rows, workers, alone, tmp_path, monkeypatch
):
    monkeypatch.setenv(executors.WORKERS, workers)
    with passing(tmp_path / "unfinished", versions, alone=alone) as run:
        others = set(np.concatenate(run("a", [Processes(rows)], "looking"))) - {os.getpid()}
    assert bool(others) == (workers == "2" and not alone)


def test_heads_are_the_same_bytes_whoever_trains_them(chosen, tmp_path):
    table = table_of()
    features = np.random.default_rng(0).standard_normal((len(table), 6)).astype(np.float32)
    recipes = [Recipe.model_validate(choices) for choices in (PAPER, RELEASED)]
    jobs = [Job(work, (number,)) for number, work in enumerate(scoring_jobs(features, table, recipes, [3, 5]))]
    with remembering(tmp_path / "remembered", versions) as share:
        found = joined(share(jobs))
    assert len(found) == 2
    for recipe, scores in found.items():
        (alone,) = training_jobs(features, table, [recipe], [3, 5], logged=False)
        (heads,) = alone().values()
        test = features[catalogue.in_test(table).to_numpy()]
        assert np.array_equal(scores, score(test, heads.weight, heads.bias))


def test_other_splits_are_shared_out_in_pieces_and_give_the_same_bytes_whoever_trains_on_them(
    chosen, tmp_path, monkeypatch
):
    monkeypatch.setattr(of_net, "TOGETHER", 2)
    choices = PAPER, RELEASED, PAPER | {"selection": "best-accuracy", "selection_on": "validation"}
    table, recipes, seeds = table_of(60, 90), [Recipe.model_validate(own) for own in choices], [3, 8, 5]
    features = np.random.default_rng(0).standard_normal((len(table), 6)).astype(np.float32)
    stored = []
    for name, rows in (("features", features), ("copies", features[:0])):
        write_array(tmp_path / f"{name}.npy", [rows])
        stored.append(Stored.of(tmp_path / f"{name}.npy"))
    tables = of_net.Tables.of(table, table[:0], recipes, seeds, own=True)
    jobs = of_net.jobs_of_net(*stored, tables, recipes, [4], None, "known")["splits"]
    assert len(jobs) == 2 * len(recipes)
    assert not any(features[:9].tobytes() in pickle.dumps(job) for job in jobs)
    with remembering(tmp_path / "remembered", versions) as share:
        found = joined(share(jobs))
    assert set(found) == {(recipe.without_cut_off(), seed) for recipe in recipes for seed in seeds}
    for recipe in recipes:
        for piece in ([3, 8], [5]):
            alone = on_splits(features, {seed: tables.splits[seed] for seed in piece}, recipe, 4)
            for seed, (positive, scores) in alone.items():
                own = found[recipe.without_cut_off(), seed]
                assert np.array_equal(own[0], positive)
                assert np.array_equal(own[1], scores)
        for seed, (_, scores) in on_splits(features, tables.splits, recipe, 4).items():
            np.testing.assert_allclose(found[recipe.without_cut_off(), seed][1], scores, atol=1e-5)


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_worker_that_dies_is_replaced_and_its_shard_done_again(name, tmp_path, monkeypatch, request):
    choose(monkeypatch, name, name == "dask" and request.getfixturevalue("dask_address"))
    dying = Squares(ROWS, tmp_path, dies_at=8)
    assert np.array_equal(write(tmp_path, dying), squares())
    assert dying.log().count(8) == 2


@pytest.mark.pipeline
def test_shards_that_are_finished_are_not_done_again_when_a_worker_of_a_cluster_dies(tmp_path, monkeypatch):
    dying = Squares(80, tmp_path, dies_at=75, pause=5)  # in which all others are finished and written
    with cluster(tmp_path) as (address, _):
        choose(monkeypatch, "dask", address)
        assert np.array_equal(write(tmp_path, dying), squares(80))
    assert sorted(dying.log()) == [*range(0, 80, 5), 75]


@pytest.mark.parametrize("name", EXECUTORS)
def test_where_workers_die_at_a_shard_again_and_again_it_says_so(name, tmp_path, monkeypatch, request, refused):
    choose(monkeypatch, name, name == "dask" and request.getfixturevalue("dask_address"))
    with refused("workers died", "lack of memory"):
        write(tmp_path, Squares(ROWS, tmp_path, dies_at=8, times=99))
    kept = [path.name for path in (tmp_path / "unfinished").rglob("*.npy")]
    assert "8.npy" not in kept
    (tmp_path / "deaths").write_text("99")
    assert np.array_equal(write(tmp_path, Squares(ROWS, tmp_path, dies_at=8, times=99)), squares())


KILLED = """
import sys
from pathlib import Path
from tests.passes import Squares, versions
from deepcovid.passes.shards import passing, write_array

folder, rows, at = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with passing(folder / "unfinished", versions) as run:
    both = run("numbers", [Squares(rows, folder, dies_at=at), Squares(rows, folder)], "squaring")
    write_array(folder / "numbers.npy", both)
"""


@pytest.mark.parametrize("shard", [0, 4, 15])
def test_after_a_kill_a_pass_goes_on_where_it_was(shard, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), "80", str(5 * shard)]
    assert run(command, ROOT, DEEPCOVID_WORKERS="1").returncode == -signal.SIGKILL
    assert run(command, ROOT, DEEPCOVID_WORKERS="1", PYTHONHASHSEED="7").returncode == 0
    starts = [5 * number for number in range(16)]
    assert Squares(80, tmp_path).log() == [*starts[: shard + 1], *starts[shard:], *starts]
    assert np.array_equal(np.load(tmp_path / "numbers.npy"), np.concatenate([squares(80), squares(80)]))
    assert not (tmp_path / "unfinished").exists()


def interrupted(tmp_path, what, versions=versions):
    """Write one file, and no second one."""

    def stop():
        with passing(tmp_path / "unfinished", versions) as run:
            run("numbers", [what], "squaring")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()


def starts_after(tmp_path, what):
    """The shards of numbers.npy that are begun in a second run."""
    (tmp_path / "log").write_text("")
    assert np.array_equal(write(tmp_path, what), squares(what.rows, what.factor))
    return sorted(what.log())


def test_a_file_that_was_whole_is_kept_until_all_files_are(tmp_path):
    interrupted(tmp_path, Squares(ROWS, tmp_path))
    assert starts_after(tmp_path, Squares(ROWS, tmp_path)) == []


def test_shards_of_other_settings_or_versions_are_removed(tmp_path):
    interrupted(tmp_path, Squares(ROWS, tmp_path))
    assert starts_after(tmp_path, Squares(ROWS, tmp_path, factor=3)) == [*range(0, ROWS, STEP)]
    interrupted(tmp_path, Squares(ROWS, tmp_path), lambda: {"code": "0"})
    kept = {path.parent for path in (tmp_path / "unfinished/numbers").rglob("*.npy")}
    interrupted(tmp_path, Squares(ROWS, tmp_path))
    assert not any(folder.exists() for folder in kept)
    assert starts_after(tmp_path, Squares(ROWS, tmp_path)) == []


def test_shards_of_other_pixels_or_weights_are_not_taken(images, tmp_path):
    parts = feature_passes(images)["images"]
    other = [parts[0]._replace(pixels=parts[0].pixels._replace(sha256="0"))]
    one, two, again = (
        shards.joblib.hash([what, versions()]) for what in (parts, other, feature_passes(images)["images"])
    )
    assert one == again != two


def test_a_shard_that_is_damaged_is_done_again(tmp_path):
    interrupted(tmp_path, Squares(ROWS, tmp_path))
    (shard,) = (tmp_path / "unfinished/numbers").rglob("8.npy")
    shard.write_bytes(shard.read_bytes()[:-1])
    assert starts_after(tmp_path, Squares(ROWS, tmp_path)) == [8]


def test_where_the_folder_fills_up_what_is_finished_is_kept(chosen, tmp_path, monkeypatch):
    written = shards.ArrayWriter.append

    def append(self, rows):
        if len(list((tmp_path / "unfinished").rglob("*.npy"))) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(self, rows)

    monkeypatch.setattr(shards.ArrayWriter, "append", append)
    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path, Squares(ROWS, tmp_path))
    assert Path(caught.value.filename).is_relative_to(tmp_path / "unfinished")
    monkeypatch.undo()
    begun = set(starts_after(tmp_path, Squares(ROWS, tmp_path)))  # dask may still have been at shards of the first run
    assert len(begun) == ROWS / STEP - 2


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "²", " "])
def test_a_number_of_workers_that_is_none_is_refused(value, monkeypatch, tmp_path, refused):
    monkeypatch.setenv(executors.WORKERS, value)
    with refused(f"DEEPCOVID_WORKERS is {value!r}, which is not a positive whole number"):
        write(tmp_path, Squares(ROWS, tmp_path))


def test_an_executor_that_is_none_is_refused(monkeypatch, tmp_path, refused):
    monkeypatch.setenv(executors.EXECUTOR, "slurm")
    with refused("DEEPCOVID_EXECUTOR is 'slurm', but it may be fork, loky, dask"):
        write(tmp_path, Squares(ROWS, tmp_path))
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("name", [None, "loky"])
@pytest.mark.parametrize(
    ("workers", "gigabytes", "processes"), [("7", 1, 7), ("1", 64, 1), (None, 64, 3), (None, 5, 2), (None, 1, 1)]
)
def test_processes_are_as_many_as_asked_for_or_as_cores_and_memory_allow(
    name, workers, gigabytes, processes, monkeypatch
):
    asked = []
    monkeypatch.setattr(executors, "cpu_count", lambda: 3)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": gigabytes << 20, "SC_PAGE_SIZE": 1 << 10}.get)
    for function in ("_by_forked", "_by_loky"):
        monkeypatch.setattr(executors, function, lambda processes, *_: asked.append(processes))
    for variable, value in ((executors.EXECUTOR, name), (executors.WORKERS, workers)):
        if value:
            monkeypatch.setenv(variable, value)
    with executor(versions) as found:
        (found.args[0] if name else found)(None, [])
    assert asked == [processes]


def test_where_dask_is_not_installed_it_says_how(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setenv(executors.EXECUTOR, "dask")
    with refused("DEEPCOVID_EXECUTOR is dask, which is not installed", "pip install"), executor(versions):
        pass


@pytest.mark.pipeline
def test_dask_wants_the_address_of_a_scheduler_that_answers(monkeypatch, refused):
    pytest.importorskip("distributed", reason="dask is not installed")
    import dask

    choose(monkeypatch, "dask")
    dask.config.refresh()
    with refused("DASK_SCHEDULER_ADDRESS is not set"), executor(versions):
        pass
    for address in ("tcp://127.0.0.1:9", "nonsense:x", "ftp://127.0.0.1:9"):
        choose(monkeypatch, "dask", address)
        with refused(f"DASK_SCHEDULER_ADDRESS: no scheduler at {address} ("), executor(versions):
            pass
        gc.collect()  # a client that is collected while the next one starts would wait for a lock that this one holds


@pytest.mark.pipeline
def test_a_cluster_without_workers_is_not_waited_for_in_silence(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(executors, "PATIENCE", 1)
    with cluster(tmp_path, workers=0) as (address, _):
        choose(monkeypatch, "dask", address)
        with refused("has had no worker for 1 seconds", "docs/cluster.md"):
            write(tmp_path, Squares(ROWS, tmp_path))


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ('{"code": "0", "numpy": "2"}', "code is 0 instead of 1"),
        ('{"code": "1", "numpy": "1"}', "numpy is 1 instead of 2"),
        ('{"code": "1"}', "numpy is missing instead of 2"),
    ],
)
def test_workers_of_other_versions_are_refused_before_they_do_anything(theirs, said, tmp_path, monkeypatch, refused):
    with cluster(tmp_path, workers=1, TEST_VERSIONS=theirs) as (address, _):
        choose(monkeypatch, "dask", address)
        with refused("worker on ", said, "start it again in the same folder"):
            write(tmp_path, Squares(ROWS, tmp_path))
    assert not (tmp_path / "log").exists()


@pytest.mark.pipeline
@pytest.mark.parametrize(("theirs", "said"), [({"python": "3.10.0"}, "python is 3.10.0"), (None, "python is missing")])
def test_workers_of_another_python_are_refused(theirs, said, dask_address, tmp_path, monkeypatch, refused):
    import distributed

    choose(monkeypatch, "dask", dask_address)
    told = distributed.Client.get_versions

    def changed(client):
        found = told(client)
        for address, worker in found["workers"].items():
            found["workers"][address] = theirs and {"packages": worker["packages"] | theirs}
        return found

    monkeypatch.setattr(distributed.Client, "get_versions", changed)
    with refused("worker at tcp://", said, "start it again in the same folder"):
        write(tmp_path, Squares(ROWS, tmp_path))
    assert not (tmp_path / "log").exists()


@pytest.mark.pipeline
def test_workers_without_the_code_are_refused(dask_address, tmp_path, monkeypatch, refused):
    choose(monkeypatch, "dask", dask_address)
    other = tmp_path / "only_here.py"
    other.write_text("def versions():\n    return {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with refused("worker on ", "No module named 'only_here'"), passing(tmp_path / "x", only_here.versions) as run:
        run("numbers", [Squares(ROWS, tmp_path)], "squaring")


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_worker_that_sees_another_file_or_none_is_refused(change, images, chosen, tmp_path, refused):
    (tmp_path / "pixels.npy").write_bytes((images / "pixels.npy").read_bytes())
    whole = feature_passes(images)["images"][0]._replace(pixels=Known.of(tmp_path / "pixels.npy"))
    change(tmp_path / "pixels.npy")
    with (
        refused(f"{tmp_path}/pixels.npy: not ", "with every worker"),
        passing(tmp_path / "unfinished", versions) as run,
    ):
        run("images", [whole], "images")


def test_an_array_in_a_file_is_read_where_it_is_used_and_another_one_is_refused(tmp_path, refused):
    path, values = tmp_path / "values.npy", np.arange(6.0).reshape(3, 2)
    write_array(path, [values])
    stored = pickle.loads(pickle.dumps(Stored.of(path)))
    assert np.array_equal(np.asarray(stored), values)
    write_array(path, [values[:2]])
    with refused(f"{path}: not the file that the work began with"):
        np.asarray(stored)


def test_a_worker_that_sees_other_archives_is_refused(archive, chosen, tmp_path, refused):
    listed = archive / "images.csv"
    archives = KnownArchives.of(archive)
    others = archives._replace(files=(("other.zip", 1, 1),))
    whole = ImagePass(Known.of(listed), 300, others, 32, AUGMENT, ("train", "test"))
    with (
        refused(f"{archive}: not the archives that the work began with", "with every worker"),
        passing(tmp_path / "unfinished", versions) as run,
    ):
        run("images", [whole], "images")


@pytest.mark.pipeline
def test_a_scheduler_that_dies_is_one_line_and_what_is_finished_is_kept(tmp_path, monkeypatch, refused):
    with cluster(tmp_path) as (address, processes):
        choose(monkeypatch, "dask", address)
        real = shards.replacing

        def replacing(path):
            if path.name == "8.npy":
                processes[0].kill()
                processes[0].wait()
            return real(path)

        monkeypatch.setattr(shards, "replacing", replacing)
        with refused(f"the scheduler at {address} is gone", "what was finished is kept"):
            write(tmp_path, Squares(800, tmp_path))
    kept = len(list((tmp_path / "unfinished").rglob("*.npy")))
    monkeypatch.undo()
    assert kept
    assert len(starts_after(tmp_path, Squares(800, tmp_path))) == 100 - kept


def test_an_error_that_is_no_users_keeps_its_own_kind(chosen, tmp_path):
    with pytest.raises(TypeError):
        write(tmp_path, Squares(ROWS, tmp_path, factor={}))


@pytest.mark.pipeline
def test_what_a_worker_says_is_one_line_with_its_machine(tmp_path, monkeypatch, refused):
    choose(monkeypatch, "loky")
    with refused("worker on ", "nowhere/log: "):
        write(tmp_path, Squares(ROWS, tmp_path / "nowhere"))
