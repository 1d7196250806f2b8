"""torchxrayvision's net against torchxrayvision's own code; none of its published weights are needed."""

import re
import shlex

import numpy as np
import pytest
import torch
import torchxrayvision
from safetensors.torch import save_file

from deepcovid.audits.baselines import weights_of
from deepcovid.drawing.marks import NET_COLOURS
from deepcovid.nets.chest_xrays import CUT_OFFS, NAME, REMEDY, grey_levels
from deepcovid.nets.features import extract, normalised
from deepcovid.nets.trunks import build, read_state, trunk
from deepcovid.nets.weights import load, random_state
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import FeatureSettings
from stages.weights import get
from tests.checkouts import ROOT, parameters

SIDE = 96
IMAGES = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 1), dtype=np.uint8)


def own_net():
    """torchxrayvision's net as a state dict is loaded into it."""
    return torchxrayvision.models.DenseNet(num_classes=18)


@pytest.fixture(scope="module")
def state():
    """Random weights, calibrated as those of other nets."""
    drawn = random_state(NAME, 0, normalised(torch.from_numpy(IMAGES)))
    return {name: value.contiguous() for name, value in drawn.items()}


@pytest.fixture(scope="module")
def expected(state):
    """Features by torchxrayvision's own scaling and net."""
    net = own_net().eval()
    net.load_state_dict(state)
    scaled = np.stack([torchxrayvision.utils.normalize(image[..., 0], 255)[None] for image in IMAGES])
    assert scaled.min() < -1000
    assert scaled.max() > 1000
    with torch.inference_mode():
        return net.features2(torch.from_numpy(scaled)).numpy()


def features(net, images, precision="fp32"):
    return next(extract(net, [images], FeatureSettings(device="cpu", precision=precision, batch_size=8)))


def test_its_weights_have_torchxrayvisions_names_and_shapes():
    ours, theirs = build(NAME).state_dict(), own_net().state_dict()
    assert [(name, value.shape) for name, value in ours.items()] == [
        (name, value.shape) for name, value in theirs.items()
    ]


def test_its_features_are_torchxrayvisions(state, expected):
    found = features(trunk(NAME, state), IMAGES)
    assert found.shape == (len(IMAGES), 1024)
    assert 0.05 < found.std() < 5
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    rough = features(trunk(NAME, state), IMAGES, "bf16")
    assert np.corrcoef(rough.ravel(), expected.ravel())[0, 1] > 0.95


def test_colours_are_averaged(state):
    colour = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    found = grey_levels(normalised(torch.from_numpy(colour)))
    expected = (2 * colour.mean(-1) / 255 - 1) * 1024
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-2)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_black_and_white_are_the_ends_of_its_range(precision):
    pixels = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1)
    found = grey_levels(normalised(pixels).to(precision))
    assert found.dtype == precision
    assert found.flatten().tolist() == pytest.approx([-1024, 1024], abs=8 if precision == torch.bfloat16 else 1e-3)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror without weights; stages run in the project's folder."""
    (tmp_path / "mirror/weights").mkdir(parents=True)
    monkeypatch.setenv("DEEPCOVID_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.chdir(ROOT)
    return tmp_path / "mirror"


def got(target, source="imagenet"):
    """Return what the stage `weights` records and the state dict that it writes."""
    own = parameters()
    chosen = own.model_copy(update={"weights": own.weights.model_copy(update={"source": str(source)})})
    return get(chosen, "phantom", NAME, target), read_state(target)


def published(state):
    """A state dict as torchxrayvision's published net has it."""
    return state | {CUT_OFFS: torch.rand(18)}


def test_a_mirrors_state_dict_is_taken_the_safe_form_first(mirror, tmp_path, state):
    torch.save(published(state), mirror / f"weights/{NAME}.pth")
    record, (model, found) = got(tmp_path / "w.safetensors")
    assert (record["name"], record["origin"], model) == (f"weights/{NAME}.pth", "mirror", NAME)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    save_file(published(state), mirror / f"weights/{NAME}.safetensors")
    (mirror / f"weights/{NAME}.pth").write_bytes(b"not asked for")
    record, (_, again) = got(tmp_path / "w.safetensors")
    assert record["name"] == f"weights/{NAME}.safetensors"
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_a_folders_state_dict_is_taken(mirror, tmp_path, state):
    save_file(state, tmp_path / f"{NAME}.safetensors")
    record, (_, found) = got(tmp_path / "w.safetensors", tmp_path)
    assert (record["origin"], record["name"]) == ("file", f"{NAME}.safetensors")
    assert found.keys() == state.keys()


@pytest.mark.parametrize("with_mirror", [True, False])
def test_without_a_file_the_error_says_how_to_make_it(mirror, tmp_path, monkeypatch, refused, with_mirror):
    if not with_mirror:
        monkeypatch.delenv("DEEPCOVID_MIRROR")
    looked = f"not in the mirror {mirror}" if with_mirror else "DEEPCOVID_MIRROR is not set"
    with refused(f"weights/{NAME}.safetensors: {looked}", "no public address", REMEDY, "weights.source: random"):
        got(tmp_path / "w.safetensors")
    with refused(f"{NAME}.pth: no such weight file", REMEDY):
        got(tmp_path / "w.safetensors", tmp_path)
    assert not (tmp_path / "w.safetensors").exists()


def test_the_command_of_the_error_makes_a_file_that_is_taken(mirror, tmp_path, monkeypatch, state):
    net = own_net()
    net.load_state_dict(state)
    net.op_threshs = torch.rand(18)

    def downloaded(weights):
        assert weights in torchxrayvision.models.model_urls
        return net

    monkeypatch.setattr(torchxrayvision.models, "DenseNet", downloaded)
    monkeypatch.chdir(mirror / "weights")
    python, option, code = shlex.split(re.search("`(.*)`", REMEDY)[1])
    assert (python, option) == ("python", "-c")
    exec(code, {})
    monkeypatch.chdir(ROOT)
    record, (_, found) = got(tmp_path / "w.safetensors")
    assert record["origin"] == "mirror"
    assert all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_net_is_refused(mirror, tmp_path, refused, zipped):
    torch.save(own_net(), mirror / f"weights/{NAME}.pth", _use_new_zipfile_serialization=zipped)
    with refused(f"{NAME}.pth: not a weight file", "holds code or objects, which are never loaded", REMEDY):
        got(tmp_path / "w.safetensors")


@pytest.mark.parametrize("other", ["classifier.bias", "features.norm5.weight", "one.more"])
def test_a_state_dict_must_have_each_weight_and_no_other(tmp_path, refused, state, other):
    changed = {name: value for name, value in published(state).items() if name != other}
    if other not in state:
        changed[other] = torch.zeros(1)
    save_file(changed, tmp_path / "w.safetensors")
    with refused("w.safetensors: not the weights of xrv_densenet121", other):
        load(tmp_path / "w.safetensors", NAME)


def test_torchvisions_densenet_is_another_net(tmp_path, refused):
    torch.save(build("densenet121").state_dict(), tmp_path / "w.pth")
    with refused("w.pth: not the weights of xrv_densenet121"):
        load(tmp_path / "w.pth", NAME)


def test_its_weights_are_not_called_imagenets():
    assert weights_of("imagenet", NAME) == "chest X-ray weights"
    assert weights_of("imagenet", "densenet121") == "ImageNet weights"
    assert weights_of("random", NAME) == "random weights of the pipeline"


def test_each_net_of_the_zoo_has_a_colour_of_its_own():
    assert NET_COLOURS.keys() == NETS.keys()
    assert len(set(NET_COLOURS.values())) == len(NETS)
