import pickle

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from deepcovid.errors import UserError
from deepcovid.nets.trunks import build, read_state, trunk, write_state
from deepcovid.nets.weights import imagenet_file, load, random_state
from deepcovid.nets.zoo import NETS

IMAGES = torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", NETS)
def test_the_trunk_gives_what_enters_the_nets_own_last_layer(model):
    state = random_state(model, 0, IMAGES)
    net = torchvision.models.get_model(model, weights=None).eval()
    net.load_state_dict(state)
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)] or [net.classifier[1]]
    seen = []
    last[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        net(IMAGES)
        features = trunk(model, state)(IMAGES).flatten(1)
    expected = seen[0] if seen[0].ndim == 2 else seen[0].mean(dim=(2, 3))
    assert features.shape == expected.shape
    torch.testing.assert_close(features, expected)


def test_a_head_on_squeezenets_channel_means_is_its_last_convolution_without_the_relu():
    state = random_state("squeezenet1_0", 0, IMAGES)
    net = torchvision.models.get_model("squeezenet1_0", weights=None).eval()
    net.load_state_dict(state)
    convolution = nn.Conv2d(512, 2, 1)
    head = nn.Linear(512, 2)
    head.weight.data, head.bias.data = convolution.weight.data.flatten(1), convolution.bias.data
    with torch.inference_mode():
        expected = convolution(net.features(IMAGES)).mean(dim=(2, 3))
        got = head(trunk("squeezenet1_0", state)(IMAGES).flatten(1))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("model", ["resnet18", "squeezenet1_0", "densenet121"])
def test_random_weights_are_seeded_and_give_features_of_order_one(model):
    state = random_state(model, 1, IMAGES)
    with torch.inference_mode():
        features = trunk(model, state)(IMAGES)
    assert 0.05 < features.std() < 5
    assert 0.05 < features.mean() < 5
    again, other = random_state(model, 1, IMAGES), random_state(model, 2, IMAGES)
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert any(not torch.equal(state[name], other[name]) for name in state)


def test_a_written_state_is_read_back_with_its_net(tmp_path):
    state = random_state("squeezenet1_1", 0, IMAGES)
    write_state(tmp_path / "w.safetensors", "squeezenet1_1", state)
    model, again = read_state(tmp_path / "w.safetensors")
    assert model == "squeezenet1_1"
    assert all(torch.equal(state[name], again[name]) for name in state)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_half_precision_files_load_into_a_float32_net(tmp_path, suffix):
    net = build("squeezenet1_1")
    half = {name: value.half() for name, value in net.state_dict().items()}
    path = tmp_path / f"w.{suffix}"
    torch.save(half, path) if suffix == "pth" else save_file(half, path)
    state = load(path, "squeezenet1_1")
    assert all(value.dtype == torch.float32 for value in state.values())
    assert torch.equal(state["features.0.weight"], half["features.0.weight"].float())


def test_densenets_old_layer_names_are_understood(tmp_path):
    state = build("densenet121").state_dict()
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for name, value in state.items()}
    assert set(old) != set(state)
    torch.save(old, tmp_path / "old.pth")
    assert set(load(tmp_path / "old.pth", "densenet121")) == set(state)


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_pickle_of_code_is_refused_and_not_run(tmp_path, capsys):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    torch.save({"a": Evil()}, tmp_path / "zipped.pth")
    for name in ("evil.pth", "zipped.pth"):
        with pytest.raises(UserError, match=rf"{name}: "):
            load(tmp_path / name, "resnet18")
    assert "code ran" not in capsys.readouterr().out


def test_weights_of_another_net_are_refused_by_name(tmp_path):
    torch.save(build("squeezenet1_0").state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: not the weights of resnet18 .*name that net's file"):
        load(tmp_path / "w.pth", "resnet18")


@pytest.mark.parametrize("content", [b"", b"garbage", b"abc\n", b"<html>no such page</html>", b"\x80\x02}q\x00."])
def test_a_damaged_weight_file_is_refused_by_name(tmp_path, content):
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            load(tmp_path / name, "resnet18")


def test_a_missing_weight_file_says_how_to_choose_random_weights(tmp_path):
    with pytest.raises(UserError, match=r"none\.pth.*weights\.source: random"):
        load(tmp_path / "none.pth", "resnet18")
    assert "weights.source: random" in imagenet_file("densenet121", {}).remedy


def test_a_dict_that_is_no_state_is_refused_by_name(tmp_path):
    for content in ({1: torch.zeros(1)}, {"a": 1}, [torch.zeros(1)]):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(UserError, match=r"w\.pth: not a plain state dict"):
            load(tmp_path / "w.pth", "resnet18")


@pytest.mark.parametrize("model", NETS)
def test_torchvisions_own_file_is_known_by_address_and_hash(model):
    remote = imagenet_file(model, {})
    assert remote.url.endswith(f"{model}-{remote.sha256_prefix}.pth")
