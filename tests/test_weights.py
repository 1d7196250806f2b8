import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from deepcovid.errors import UserError
from deepcovid.images.decoding import decode
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import normalised
from deepcovid.nets.trunks import OTHERS, build, read_state, trunk, write_state
from deepcovid.nets.weights import _standardise, load, published_file, random_state
from deepcovid.nets.zoo import NETS
from deepcovid.settings.datasets import WeightSettings
from deepcovid.sources.phantom.population import patient_images
from stages.weights import get
from tests.phantoms import patient, phantom_source

IMAGES = torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", NETS)
def test_the_trunk_gives_what_enters_the_nets_own_last_layer(model):
    state = random_state(model, 0, IMAGES)
    net = build(model).eval()
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


def layer_outputs(model, state, images):
    """What each convolution and linear layer puts out, (channels, values), by its name."""
    net, outputs = build(model).eval(), {}
    net.load_state_dict(state)
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(
                lambda _, inputs, output, name=name: outputs.update({name: output.transpose(0, 1).flatten(1)})
            )
    with torch.inference_mode():
        net(images)
    return outputs


def test_without_batch_norm_every_channel_has_mean_0_and_deviation_1_before_its_activation():
    outputs = layer_outputs("squeezenet1_0", random_state("squeezenet1_0", 3, IMAGES), IMAGES)
    assert len(outputs) == 26  # two convolutions and eight fire modules of three
    for name, output in outputs.items():
        torch.testing.assert_close(output.mean(1), torch.zeros(len(output)), atol=1e-3, rtol=0, msg=name)
        torch.testing.assert_close(output.std(1), torch.ones(len(output)), atol=1e-3, rtol=0, msg=name)


def test_a_channel_that_does_not_vary_is_only_shifted():
    layer = nn.Linear(2, 2)
    with torch.inference_mode():
        inputs = torch.tensor([[1.0, 3.0], [1.0, 5.0]])
        layer.weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
        layer.bias.copy_(torch.tensor([1.0, 1.0]))
        output = _standardise(layer, (inputs,), layer(inputs))
        torch.testing.assert_close(output, torch.tensor([[0.0, -(0.5**0.5)], [0.0, 0.5**0.5]]))
        torch.testing.assert_close(layer(inputs), output)
        assert layer.weight[0].tolist() == [4.0, 0.0]


@pytest.mark.parametrize("model", ["squeezenet1_0", "resnet18"])
def test_the_features_of_random_weights_vary_from_image_to_image(model):
    """On images that differ little, as radiographs do."""
    drawn = [patient_images(phantom_source(height=128), patient(number, "normal"))[0] for number in range(24)]
    pixels = torch.tensor(np.stack([decode(phantom.file, resize_and_crop(96)) for phantom in drawn]))[..., None]
    images = normalised(pixels)
    with torch.inference_mode():
        features = trunk(model, random_state(model, 0, images))(images).flatten(1)
    assert features.var(0).sum() > 0.05 * features.square().mean(0).sum()


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


def test_a_weight_that_is_no_number_is_refused(tmp_path):
    state = build("squeezenet1_1").state_dict()
    state["features.0.bias"][3] = torch.nan
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth: damaged \(a weight is not a finite number\); get the file again"):
        load(tmp_path / "w.pth", "squeezenet1_1")


def test_a_missing_weight_file_says_how_to_choose_random_weights(tmp_path):
    with pytest.raises(UserError, match=r"none\.pth.*weights\.source: random"):
        load(tmp_path / "none.pth", "resnet18")
    assert "weights.source: random" in published_file("densenet121", {}, []).remedy


def test_weights_in_the_home_folder_are_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(build("squeezenet1_1").state_dict(), tmp_path / "squeezenet1_1.pth")
    settings = WeightSettings(source="~", seed=0, calibration_images=2)
    record = get(SimpleNamespace(weights=settings), "any", "squeezenet1_1", tmp_path / "own.safetensors")
    assert (record["origin"], record["name"]) == ("file", "squeezenet1_1.pth")
    assert (tmp_path / "own.safetensors").is_file()


def test_a_dict_that_is_no_state_is_refused_by_name(tmp_path):
    for content in ({1: torch.zeros(1)}, {"a": 1}, [torch.zeros(1)]):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(UserError, match=r"w\.pth: not a plain state dict"):
            load(tmp_path / "w.pth", "resnet18")


@pytest.mark.parametrize("model", sorted(NETS.keys() - OTHERS))
def test_torchvisions_own_file_is_known_by_address_and_hash(model):
    remote = published_file(model, {}, [])
    assert remote.url.endswith(f"{model}-{remote.sha256_prefix}.pth")


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 40, b"not weights"])
def test_weights_that_are_not_there_or_damaged_are_refused(tmp_path, refused, content):
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    with refused("w.safetensors: not a weight file of the stage `weights`", "dvc repro"):
        read_state(tmp_path / "w.safetensors")
