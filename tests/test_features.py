import io
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from deepcovid.errors import UserError
from deepcovid.files import Known
from deepcovid.nets.features import FeaturePass, ahead, choose_device, extract
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.settings.analyses import FeatureSettings
from tests.radiographs import decode

SETTINGS = FeatureSettings(device="cpu", precision="fp32", batch_size=4)
IMAGES = torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def jpeg(seed, mode="L"):
    shape = (340, 300) if mode == "L" else (340, 300, 3)
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("model", ["resnet18", "squeezenet1_0", "densenet121"])
def test_features_of_the_shared_array_are_those_of_torchvisions_transform_on_the_file(model, mode):
    transform = transforms.Compose(
        [
            transforms.Resize(224),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    files = [jpeg(seed, mode) for seed in range(4)]
    net = trunk(model, random_state(model, 0, IMAGES))
    with torch.inference_mode():
        inputs = torch.stack([transform(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
        expected = net(inputs).flatten(1)
    pixels = np.stack([decode(file).reshape(224, 224, -1) for file in files])
    got = np.concatenate(list(extract(net, [pixels], SETTINGS)))
    # Equal but for the order of sums, which the memory layout changes.
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_the_batch_size_does_not_change_features_and_runs_repeat_to_the_bit():
    net = trunk("resnet18", random_state("resnet18", 0, IMAGES))
    pixels = np.random.default_rng(0).integers(0, 256, (7, 224, 224, 1), dtype=np.uint8)
    one, again, other = (
        np.concatenate(list(extract(net, np.split(pixels, range(size, 7, size)), SETTINGS))) for size in (4, 4, 3)
    )
    assert np.array_equal(one, again)
    assert one.shape == (7, 512)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@given(wanted=st.lists(st.booleans(), min_size=1, max_size=20).map(np.array), size=st.integers(1, 6))
def test_a_pass_sees_the_wanted_images_in_order_and_no_empty_batch(tmp_path_factory, wanted, size):
    path = tmp_path_factory.mktemp("wanted") / "pixels.npy"
    np.save(path, np.arange(len(wanted), dtype=np.uint8))
    settings = SETTINGS.model_copy(update={"batch_size": size})
    own = FeaturePass(Known.of(path), Known.of(path), len(wanted), settings, wanted, view=np.negative)
    half = size * (len(wanted) // size // 2)
    got = [*own._batches(0, half), *own._batches(half, len(wanted))]
    assert all(len(batch) for batch in got)
    assert np.concatenate([*got, np.empty(0, np.uint8)]).tolist() == np.negative(np.load(path)[wanted]).tolist()


@given(st.lists(st.integers(), max_size=5))
def test_items_that_are_made_ahead_come_in_order(items):
    assert list(ahead(items)) == items


def test_one_item_is_made_ahead_and_no_more_and_an_error_comes_where_its_item_would():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number
        raise UserError("no more")

    got = ahead(items())
    assert next(got) == 0
    assert next(got) == 1
    assert made[-1] <= 2
    assert list(islice(got, 3)) == [2, 3, 4]
    with pytest.raises(UserError, match="no more"):
        next(got)
    made.clear()
    first = ahead(items())
    next(first)
    first.close()
    assert len(made) <= 2


def test_bf16_is_fp32_to_two_digits():
    state = random_state("resnet18", 0, IMAGES)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 1), dtype=np.uint8)
    exact, short = (
        next(extract(trunk("resnet18", state), [pixels], SETTINGS.model_copy(update={"precision": precision})))
        for precision in ("fp32", "bf16")
    )
    assert short.dtype == np.float32
    assert 0 < np.abs(exact - short).max() < 0.05 * np.abs(exact).max()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the error of a machine without CUDA")
def test_asking_for_cuda_where_there_is_none_is_an_error_that_names_the_parameter():
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match=r"features\.device is cuda:0, but 0 CUDA devices"):
        choose_device("cuda:0")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_features_of_the_cpu():
    state = random_state("resnet18", 0, IMAGES)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 1), dtype=np.uint8)
    cpu, cuda = (
        next(extract(trunk("resnet18", state), [pixels], SETTINGS.model_copy(update={"device": device})))
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(cuda, cpu, rtol=1e-3, atol=1e-3)
