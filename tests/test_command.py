"""The command `deepcovid`, in its own process where that matters."""

import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcovid import __version__, commands, load_head
from deepcovid.commands import main
from deepcovid.commands.inputs import Input, _distinct
from deepcovid.commands.pictures import announcement
from deepcovid.commands.predict import default_window
from deepcovid.errors import UserError
from deepcovid.heatmaps.occlusion import Window
from deepcovid.heatmaps.overlays import overlay
from deepcovid.settings.types import LARGEST
from tests.checkouts import ROOT, run
from tests.forged import lying, nameless, without_palette
from tests.radiographs import dicom, jpeg, noise, png
from tests.trained import MODEL, random_head, trained_folder

RESEARCH_ONLY = "Research only, not for diagnosis."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with images in it and in a sub folder."""
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "images"
    (images / "more").mkdir(parents=True)
    (images / "a.jpg").write_bytes(jpeg(1))
    (images / "a.png").write_bytes(png(noise(2, (80, 90, 3)) // 4))
    (images / "more/a.dcm").write_bytes(dicom(noise(3)))
    (images / ".DS_Store").write_bytes(b"left behind")
    return tmp_path


@pytest.fixture
def predict(head, capsys):
    """A function that runs `deepcovid predict` here and returns its status, output and errors."""

    def run_it(*arguments, own_head=head):
        try:
            status = main(
                ["predict", *map(str, arguments), "--head", str(own_head), "--device", "cpu", "--batch-size", "2"]
            )
        except SystemExit as ended:
            status = ended.code
            if isinstance(status, str):
                print(status, file=sys.stderr)
                status = 1
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_it


def command(folder, *arguments, **environment):
    environment = {"PYTHONPATH": str(ROOT)} | environment
    return run([sys.executable, "-m", "deepcovid", *map(str, arguments)], folder, **environment)


def test_the_entry_point_is_the_function_that_runs():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, name = scripts["deepcovid"].split(":")
    assert getattr(import_module(module), name) is main


def test_help_is_quick_has_examples_and_says_research_only(folder):
    for arguments in ([], ["predict"], ["test"], ["show"]):
        result = command(folder, *arguments, "--help")
        assert result.returncode == 0
        assert RESEARCH_ONLY in " ".join(result.stdout.split())
        assert f"deepcovid {' '.join(arguments)}" in result.stdout.split("examples:")[1]
    code = "import sys, deepcovid.commands; deepcovid.commands.parser(); sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], ROOT).returncode == 0


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"deepcovid {__version__}\n"


def completed(folder, *words):
    """What bash offers when the Tab key is pressed after `words`."""
    script = command(folder, "--print-completion", "bash").stdout
    line = " ".join(f"'{word}'" for word in words)
    function = "$(complete -p deepcovid | grep -o '_shtab_[a-z]*')"
    asked = f'COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; {function}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(run(["bash", "-c", f"{script}\n{asked}"], folder).stdout.split())


def test_bash_completes_commands_options_and_files(folder):
    assert {"predict", "test", "show"} <= completed(folder, "deepcovid", "")
    assert "--table" in completed(folder, "deepcovid", "test", "--t")
    assert "images" in completed(folder, "deepcovid", "test", "im")
    assert "images" in completed(folder, "deepcovid", "test", "images", "--table", "im")


@pytest.mark.parametrize("text", [commands.PREDICT, commands.TEST, commands.SHOW])
def test_the_examples_of_help_are_understood(text):
    examples = [line.split("|")[0].split()[1:] for line in text.splitlines() if line.startswith("  deepcovid ")]
    assert len(examples) >= 3
    for example in examples:
        assert commands.parser().parse_args(example).command in ("predict", "test", "show")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--window", "0"],
        ["--window", str(LARGEST + 1)],
        ["--stride", "-1"],
        ["--stride", "x"],
        ["--fill", "256"],
        ["--batch-size", "0"],
        ["--device", "gpu"],
        ["--colour"],
    ],
)
def test_wrong_options_exit_with_2(folder, predict, wrong):
    assert predict(*(["images", *wrong] if wrong else []))[0] == 2


def test_a_folder_is_scored_as_load_head_scores_its_files_in_an_aligned_table(folder, predict, head):
    status, out, err = predict("images")
    assert status == 0
    scores = load_head(head, device="cpu").predict([f"images/{name}" for name in ("a.jpg", "a.png", "more/a.dcm")])
    lines = out.splitlines()
    assert lines[0].split() == ["file", "score", "called", "seeds"]
    for line, name, row in zip(lines[1:], ("a.jpg", "a.png", "more/a.dcm"), scores.itertuples(), strict=True):
        assert line.startswith(f"images/{name}  ")
        assert f"  {row.score:.3f}  {row.called} " in line
        assert f"  {row.score_min:.3f} to {row.score_max:.3f}" in line
        assert line.index(f"{row.score:.3f}") == lines[0].index("score")
    assert err.startswith(f"{RESEARCH_ONLY}\nHead of SqueezeNet 1.1 under the recipe paper, trained on phantom; ")
    assert "called covid from a score of 0.3 on" in err
    covid, unlike = (scores["called"] == "covid").sum(), scores["unlike"].sum()
    assert err.splitlines()[-1] == (
        f"3 scored: {covid} called covid, {3 - covid} called non; {unlike} unlike the training images; 0 could not be "
        "used"
    )


def test_an_image_unlike_the_training_images_is_noted_with_distance_and_threshold(folder, predict, tmp_path):
    near = trained_folder(tmp_path / "near", threshold=1e-3)
    _, out, _ = predict("images/a.jpg", own_head=near)
    assert "unlike the training images: distance " in out
    assert ", threshold 0.001" in out
    far = trained_folder(tmp_path / "far", threshold=1e9)
    assert "unlike" not in predict("images/a.jpg", own_head=far)[1]


def test_json_is_one_document_with_notice_head_results_and_failures(folder, predict, head):
    (folder / "images/notes.txt").write_text("no image")
    status, out, err = predict("images", "--json")
    document = json.loads(out)
    assert status == 1
    assert document["notice"].startswith(f"{RESEARCH_ONLY} Head of SqueezeNet 1.1")
    facts = random_head()
    assert (document["head"]["model"], document["head"]["seeds"]) == (MODEL, facts.seeds)
    assert document["head"]["threshold"] == facts.threshold
    assert [row["file"] for row in document["results"]] == ["images/a.jpg", "images/a.png", "images/more/a.dcm"]
    assert all(isinstance(row["score"], float) and isinstance(row["unlike"], bool) for row in document["results"])
    assert document["failures"] == [
        {
            "file": "images/notes.txt",
            "reason": "not an image that can be read; replace it by a PNG, JPEG or DICOM file",
        }
    ]
    assert "images/notes.txt" in err


def test_the_csv_has_the_table_and_says_research_only_in_every_row(folder, predict):
    status, _, _ = predict("images", "--csv", "out/scores.csv")
    assert status == 0
    with (folder / "out/scores.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = ["file", "score", "score_min", "score_max", "called", "distance", "unlike", "threshold", "notice"]
    assert list(rows[0]) == columns
    assert len(rows) == 3
    assert all(row["notice"].startswith(RESEARCH_ONLY) for row in rows)
    assert not list(folder.rglob("*.part"))


def test_files_folders_and_zips_are_read_alike(folder, predict):
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.write("images/a.jpg", "x/a.jpg")
        archive.writestr("__MACOSX/._a.jpg", b"left behind")
    _, out, _ = predict("images/a.jpg", "all.zip", "--json")
    results = json.loads(out)["results"]
    assert [row.pop("file") for row in results] == ["images/a.jpg", "all.zip/x/a.jpg"]
    assert results[0] == pytest.approx(results[1])


def bad_files():
    grey = noise(0, (64, 64))
    return {
        "notes.txt": (b"this is no image", "not an image"),
        "empty.png": (b"", "not an image"),
        "damaged.jpg": (jpeg(0, (300, 300))[:900], "damaged"),
        "small.png": (png(grey[:20]), "less than 32 a side"),
        "large.png": (png(np.zeros((6250, 8000), np.uint8)), "8000 x 6250 pixels, more than any radiograph"),
        "ct.dcm": (dicom(grey, Modality="CT"), "DICOM of modality CT, no radiograph"),
        "broken.zip": (b"PK no zip", "not a zip archive"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_a_file_that_cannot_be_used_is_listed_with_the_reason_and_the_others_are_scored(folder, predict, name):
    content, reason = bad_files()[name]
    (folder / "images" / name).write_bytes(content)
    status, out, err = predict(f"images/{name}", "images/a.jpg", "images/more", "--csv", "scores.csv")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["images/a.jpg", "images/more/a.dcm"]
    listed = err[err.index("1 could not be used:\n") :].splitlines()[:-1]
    assert len(listed) == 2
    assert listed[1].startswith(f"  images/{name}: ")
    assert reason in listed[1]
    assert len((folder / "scores.csv").read_text().splitlines()) == 3


def test_a_bad_member_of_a_zip_leaves_the_others_as_they_are(folder, predict):
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.writestr("no palette.png", without_palette())
        archive.writestr("good.jpg", jpeg(1))
    lying(folder / "all.zip", bytes(10_000), 100, name="lie.png")
    status, out, err = predict("all.zip")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["all.zip/good.jpg"]
    failures = err[err.index("2 could not be used:\n") :].splitlines()[1:]
    assert failures[0].startswith("  all.zip/no palette.png: damaged (AssertionError)")
    assert "'lie.png' has more than the 100 bytes" in failures[1]


def test_a_zip_with_a_member_without_a_name_is_listed_and_the_others_are_scored(folder, predict):
    nameless(folder / "odd.zip", jpeg(1))
    status, out, err = predict("odd.zip", "images/a.jpg")
    assert (status, len(out.splitlines())) == (1, 2)
    assert "  odd.zip: odd.zip: unsafe member name ''" in err


def test_paths_that_are_not_there_are_listed_and_so_are_broken_links_and_pipes(folder, predict):
    (folder / "images/link.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "images/pipe.png")
    status, out, err = predict("absent.png", "images")
    assert status == 1
    assert len(out.splitlines()) == 4
    assert "  absent.png: not there; correct the path\n" in err
    assert "  images/link.png: not a file, or a broken link" in err
    assert "  images/pipe.png: not a file, or a broken link" in err


def test_a_file_without_read_permission_is_listed_with_the_remedy(folder, predict, monkeypatch):
    path = folder / "images/a.png"
    path.chmod(0)
    if os.geteuid() == 0:  # root reads it all the same, so the refusal is made up
        real = type(path).read_bytes

        def read_bytes(self):
            if self.name == "a.png":
                raise PermissionError(13, "Permission denied", str(self))
            return real(self)

        monkeypatch.setattr(type(path), "read_bytes", read_bytes)
    status, out, err = predict("images")
    assert status == 1
    assert len(out.splitlines()) == 3
    assert "  images/a.png: Permission denied: permission is missing" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_cannot_be_listed_is_not_passed_over(folder, predict):
    (folder / "images/more").chmod(0)
    status, _, err = predict("images")
    (folder / "images/more").chmod(0o700)
    assert status == 1
    assert "  images/more: Permission denied" in err


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["absent.png"], "error: no image to score: absent.png: not there"),
        (["empty"], "error: no image to score: empty: holds no files"),
        (["texts"], "error: nothing was scored; 1 could not be used:\n  texts/notes.txt: not an image"),
    ],
)
def test_nothing_to_score_is_an_error(folder, predict, names, reason):
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts/notes.txt").write_text("no image")
    status, out, err = predict(*names, "--csv", "scores.csv")
    assert (status, out) == (1, "")
    assert reason in err
    assert not (folder / "scores.csv").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--csv", "images"], "--csv images: is a folder"),
        (["--csv", "file/scores.csv"], "file cannot be written to"),
        (["--csv", "/proc/none/scores.csv"], "/proc cannot be written to"),
        (["--heatmap", "file"], "--heatmap file: is a file"),
        (["--heatmap", "/proc/maps"], "/proc cannot be written to"),
        (["--heatmap", "images/maps"], "--heatmap images/maps: lies in images"),
        (["--csv", "images/scores.csv"], "--csv images/scores.csv: lies in images"),
        (["--csv", "pipe"], "--csv pipe: is no ordinary file"),
        (["single.png", "--csv", "single.png"], "--csv: single.png is read here"),
        (["single.png", "single.png.png", "--heatmap", "."], "--heatmap: single.png.png is read here"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_an_image_is_scored(folder, predict, monkeypatch, options, reason):
    (folder / "file").write_text("taken")
    os.mkfifo("pipe")
    for name in ("single.png", "single.png.png"):
        (folder / name).write_bytes(jpeg(1))
    monkeypatch.setattr("deepcovid.commands.predict.load_head", None)
    before = sorted(folder.rglob("*"))
    status, out, err = predict("images", *options)
    assert (status, out) == (1, "")
    assert reason in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("image_size", "stride", "side"), [(224, 8, 32), (80, 8, 16), (112, 8, 16), (80, 3, 12), (512, 8, 80), (5, 8, 5)]
)
def test_the_window_is_by_default_the_same_share_of_every_heads_images(image_size, stride, side):
    assert default_window(image_size, stride) == side


@pytest.mark.parametrize(
    ("window", "stride", "reason"),
    [
        ("16", "20", "error: the stride is 20 pixels, more than the window's side of 16"),
        ("225", "8", "error: the window's side is 225 pixels, more than an image of 224 x 224 has"),
    ],
)
def test_a_window_that_does_not_fit_the_heads_images_is_refused(folder, predict, window, stride, reason):
    status, out, err = predict("images", "--heatmap", "maps", "--window", window, "--stride", stride)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(reason)
    assert not (folder / "maps").exists()


def test_heat_maps_are_written_under_distinct_names_with_a_warning(folder, predict):
    (folder / "other").mkdir()
    (folder / "other/a.jpg").write_bytes(jpeg(5))
    status, _, err = predict("images", "other/a.jpg", "--heatmap", "maps", "--window", "112", "--stride", "112")
    assert status == 0
    maps = folder / "maps"
    written = sorted(str(path.relative_to(maps)) for path in maps.rglob("*") if path.is_file())
    assert written == ["2/a.jpg.png", "a.jpg.png", "a.png.png", "more/a.dcm.png"]
    assert "warning: the pictures in maps show the patients" in err
    before, after = err.split("heat maps: 4 windows an image, about ")
    assert "occlusion" not in before
    assert re.match(r"\d+ s an image, \d+ s in all; a larger --stride is quicker\n", after)
    assert re.findall(r"^images .* of .*$", after, re.MULTILINE) == ["images 1 to 2 of 4", "images 3 to 4 of 4"]
    assert "scoring" not in err  # a bar around the bars of the maps, whose lines they would overwrite
    pictures = [Image.open(maps / name).convert("RGB") for name in written]
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_the_time_that_heat_maps_will_take_is_that_of_the_net(head, monkeypatch):
    def slow(_net, batches, _settings):
        for batch in batches:
            time.sleep(0.4)
            yield np.zeros((len(batch), 1), np.float32)

    monkeypatch.setattr("deepcovid.commands.pictures.extract", slow)
    said = announcement(load_head(head, device="cpu", batch_size=2), Window(32, 32, 128), images=5)
    windows, each, whole = (int(number) for number in re.findall(r"(\d+) (?:windows|s)", said))
    assert windows == 7**2
    assert 0.8 < each / (0.2 * windows) < 2
    assert 4 < whole / each < 6


def test_a_heat_map_is_of_the_image_that_it_is_named_after(folder, predict, head, monkeypatch):
    drawn = {}
    real = overlay

    def spy(image, maps, title):
        drawn[title.splitlines()[0]] = (image, maps, title)
        return real(image, maps, title)

    monkeypatch.setattr("deepcovid.commands.pictures.overlay", spy)
    for name, part in (("left", np.s_[:, :112]), ("right", np.s_[:, 112:])):
        pixels = np.full((224, 224), 40, np.uint8)
        pixels[part] = noise(7, (224, 112))
        Path(f"images/{name}.png").write_bytes(png(pixels))
    predict("images/left.png", "images/notes.png", "images/right.png", "--heatmap", "maps", "--window", "112",
            "--stride", "112", "--fill", "40")  # fmt: skip
    loaded = load_head(head, device="cpu")
    for name, (image, maps, title) in drawn.items():
        (whole,) = loaded.score([name])
        np.testing.assert_array_equal(image, np.asarray(Image.open(name)))
        assert f"score {whole:.3f}" in title
        for rows in (np.s_[:112], np.s_[112:]):
            for columns in (np.s_[:112], np.s_[112:]):
                covered = image.copy()
                covered[rows, columns] = 40
                (without,) = loaded.score([covered])
                np.testing.assert_allclose(maps["occlusion"][rows, columns], whole - without, atol=1e-5)
        assert maps["Grad-CAM"].shape == (224, 224)
    assert list(drawn) == ["images/left.png", "images/right.png"]
    assert not np.allclose(*(maps["occlusion"] for _, maps, _ in drawn.values()))


def test_many_images_of_one_name_get_a_place_each():
    given = [Input("chest.png", "chest.png", Path(), bytes) for number in range(20_000)]
    places = [one.picture for one in _distinct([*given, Input("own", "3/chest.png", Path(), bytes)])]
    assert places[:3] == ["chest.png", "2/chest.png", "3/chest.png"]
    assert places[-1] == "2/3/chest.png"
    assert len(set(places)) == 20_001


def test_neither_the_head_nor_its_weights_are_overwritten(folder, predict, head):
    own = head.parents[3] / f"weights/{MODEL}.safetensors"
    for path in (head, own):
        before = path.read_bytes()
        (folder / "link.csv").symlink_to(path)
        for named in (["--weights", own], []):
            status, _, err = predict("images", *named, "--csv", "link.csv")
            assert status == 1
            assert "--csv: link.csv is read here and would be overwritten" in err
        assert path.read_bytes() == before
        (folder / "link.csv").unlink()


def test_heat_maps_of_odd_members_of_a_zip_stay_in_their_folder_under_plain_names(folder, predict):
    names = [
        "a.png",
        "A.png",
        "a.png.png/b.png",
        "x",
        "x/y.png",
        "d\n\x1b[2J.png",
        "..\\..\\e.png",
        300 * "y",
        "./z.png",
    ]
    with zipfile.ZipFile("odd.zip", "w") as archive:
        for name in names:
            archive.writestr(name, jpeg(1))
    before = set(folder.rglob("*"))
    status, out, _ = predict("odd.zip", "--heatmap", "maps", "--window", "224", "--stride", "224")
    assert status == 0
    assert len(out.splitlines()) == len(names) + 1
    written = set(folder.rglob("*")) - before
    assert all(path.is_relative_to(folder / "maps") for path in written)
    pictures = [str(path.relative_to(folder / "maps")) for path in written if path.is_file()]
    assert len({name.casefold() for name in pictures}) == len(names)
    assert all(name.isprintable() and "\\" not in name for name in pictures)


def test_a_heat_map_or_a_table_that_cannot_be_written_is_listed_and_the_scores_are_printed(folder, predict):
    (folder / "maps/a.jpg.png").mkdir(parents=True)
    (folder / "maps/a.jpg.png/taken").write_text("")
    (folder / "long" / (240 * "x")).mkdir(parents=True)
    table = Path("long", 240 * "x", 250 * "y")
    arguments = ["--heatmap", "maps", "--csv", table, "--window", "224", "--stride", "224"]
    status, out, err = predict("images", *arguments)
    assert status == 1
    assert len(out.splitlines()) == 4
    assert "2 could not be used:" in err
    assert "  heat map of images/a.jpg: not written: " in err
    assert f"  {table}: not written: File name too long" in err
    assert (folder / "maps/a.png.png").is_file()
    assert not list(folder.rglob("*.part"))


def test_pipes_named_as_a_head_or_as_a_zip_are_not_waited_for(folder, predict):
    os.mkfifo("pipe.zip")
    assert "error: pipe.zip: not a file; name a head file" in predict("images", own_head="pipe.zip")[2]
    status, out, err = predict("pipe.zip", "images/a.jpg")
    assert (status, len(out.splitlines())) == (1, 2)
    assert "  pipe.zip: no file; leave it out" in err


def test_a_linked_folder_is_not_passed_over_in_silence(folder, predict):
    Path("images/again").symlink_to(".")
    status, out, err = predict("images")
    assert (status, len(out.splitlines())) == (1, 4)
    assert "  images/again: a link to a folder; name the folder itself" in err


@pytest.mark.filterwarnings("error")
def test_a_very_large_image_and_letters_without_a_glyph_give_no_warning_of_a_library(folder, predict):
    (folder / "large.png").write_bytes(png(np.zeros((10_000, 10_000), np.uint8)))
    Path("images/a.jpg").rename("images/\u65e5.jpg")
    names = ["large.png", "images/\u65e5.jpg"]
    status, _, err = predict(*names, "--heatmap", "maps", "--window", "224", "--stride", "224")
    assert status == 1
    assert "Warning" not in err
    assert "  large.png: 10000 x 10000 pixels, more than any radiograph" in err


@pytest.mark.pipeline
@pytest.mark.skipif(
    not shutil.which("setpriv") or os.geteuid(), reason="root reads everything unless it lets go of that"
)
def test_closed_files_and_folders_are_listed_with_the_reason(folder, head):
    for name in ("closed", "images/shut"):
        (folder / name).mkdir()
        (folder / name / "b.jpg").write_bytes(jpeg(2))
        (folder / name).chmod(0)
    arguments = ["predict", "closed", "closed/b.jpg", "images", "--head", head, "--device", "cpu", "--heatmap", "maps"]
    small = ["--window", "224", "--stride", "224"]
    given_up = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    line = [*given_up, sys.executable, "-m", "deepcovid", *map(str, arguments), *small]
    result = run(line, folder, PYTHONPATH=str(ROOT))
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 4
    for name in ("closed", "closed/b.jpg", "images/shut"):
        assert f"  {name}: Permission denied: permission is missing" in result.stderr


def test_a_name_that_would_move_the_cursor_is_shown_in_plain_letters(folder, predict):
    Path("images/a.jpg").rename(os.fsdecode(b"images/\x1b[2J\xff.jpg"))
    status, out, _ = predict("images", "--csv", "scores.csv")
    assert status == 0
    assert "\x1b" not in out
    assert "images/\\x1b[2J\\udcff.jpg" in out


def test_a_head_that_cannot_be_read_is_one_line_or_a_traceback_if_asked_for(folder, head, predict, monkeypatch):
    other = folder / "other.safetensors"
    other.write_bytes(head.read_bytes()[:-1])
    status, out, err = predict("images", own_head=other)
    assert (status, out) == (1, "")
    assert err.splitlines()[0] == RESEARCH_ONLY
    assert err.splitlines()[1].startswith(f"error: {other}: damaged, or not a head file")
    assert len(err.splitlines()) == 2
    monkeypatch.setenv("DEEPCOVID_TRACEBACK", "1")
    with pytest.raises(UserError):
        predict("images", own_head=other)


@pytest.mark.pipeline
def test_a_closed_pipe_is_no_traceback(folder, head):
    for number in range(40):
        (folder / f"images/{number}.jpg").write_bytes(jpeg(number))
    line = f"'{sys.executable}' -m deepcovid predict images --json --head '{head}' --device cpu | head -c 1"
    result = run(["sh", "-c", line], folder, PYTHONPATH=str(ROOT))
    assert result.stdout == "{"
    assert "Traceback" not in result.stderr
    assert "Exception ignored" not in result.stderr


@pytest.mark.pipeline
def test_an_interrupt_is_one_line_and_leaves_no_half_written_file(folder, head):
    arguments = ["predict", *["images"] * 400, "--head", str(head), "--csv", "scores.csv", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "deepcovid", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has them ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stderr:
        if line.startswith("Head of"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted"
    assert not list(folder.glob("*scores.csv*"))


def test_a_command_that_is_terminated_while_it_writes_removes_what_it_wrote(reports):
    code = "import os, shutil, sys; from deepcovid.commands import main; "
    code += "shutil.copyfile = lambda source, to: (to.write_text('half'), os.kill(os.getpid(), 15)); "
    code += "sys.exit(main(['show', '--output', 'page.html']))"
    result = run([sys.executable, "-c", code], reports, PYTHONPATH=str(ROOT))
    assert (result.returncode, result.stderr) == (143, f"{RESEARCH_ONLY}\n")
    assert [path.name for path in reports.iterdir()] == ["data"]


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """The current folder, with a report in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/phantom").mkdir(parents=True)
    (tmp_path / "data/phantom/report.html").write_text("<p>phantom")
    return tmp_path


@pytest.mark.parametrize("named", [[], ["phantom"], ["data/phantom/report.html"]])
def test_show_opens_the_report_and_prints_where_it_is(reports, monkeypatch, capsys, named):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)) or True)
    assert main(["show", *named]) == 0
    assert opened == [(reports / "data/phantom/report.html").as_uri()]
    assert capsys.readouterr() == ("data/phantom/report.html\n", f"{RESEARCH_ONLY}\n")
    assert main(["show", *named, "--no-browser"]) == 0
    assert len(opened) == 1


def test_show_without_a_browser_says_so_and_succeeds(reports, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert main(["show"]) == 0
    out, err = capsys.readouterr()
    assert out == "data/phantom/report.html\n"
    assert "no browser was found" in err


def test_show_writes_a_copy(reports, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", None)
    assert main(["show", "--output", "copies/page.html"]) == 0
    assert (reports / "copies/page.html").read_text() == "<p>phantom"
    assert capsys.readouterr().out == "copies/page.html\n"
    with pytest.raises(SystemExit, match="error: --output copies: is a folder"):
        main(["show", "--output", "copies"])
    os.mkfifo("pipe")
    with pytest.raises(SystemExit, match="error: --output pipe: is no ordinary file"):
        main(["show", "--output", "pipe"])
    (reports / "params.yaml").write_text("models: []")
    with pytest.raises(SystemExit, match=r"error: --output params\.yaml: a report is a page"):
        main(["show", "--output", "params.yaml"])
    assert (reports / "params.yaml").read_text() == "models: []"


def test_show_on_a_full_disk_names_the_copy_not_the_report(reports, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "sendfile", full)  # with which copyfile copies, and after which it names both files
    monkeypatch.setattr("shutil._USE_CP_SENDFILE", True)
    with pytest.raises(SystemExit, match=r"^error: page\.html: full: the disk .* free some space and run again$"):
        main(["show", "--output", "page.html"])
    assert [path.name for path in reports.iterdir()] == ["data"]


def test_show_asks_which_of_several_reports_and_says_how_to_make_one(reports):
    with pytest.raises(SystemExit, match=r"error: cohen: no such report, nor data/cohen/report\.html; .*dvc repro"):
        main(["show", "cohen"])
    (reports / "data/cohen").mkdir()
    (reports / "data/cohen/report.html").write_text("<p>cohen")
    with pytest.raises(SystemExit, match="error: there are several reports; name one of cohen, phantom"):
        main(["show"])
    for path in reports.rglob("report.html"):
        path.unlink()
    with pytest.raises(SystemExit, match="no report here; make one with `dvc repro`"):
        main(["show"])
