import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcovid.heads.schedules import factor
from deepcovid.settings.recipes import Step


@given(
    size=st.integers(1, 12),
    gamma=st.floats(0.05, 1),
    epochs=st.integers(1, 40),
    stepped=st.sampled_from(["epoch-start", "epoch-end"]),
)
def test_step_schedule_is_that_of_torch_stepped_at_the_start_or_end_of_each_epoch(size, gamma, epochs, stepped):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, size, gamma)
    expected = []
    for _ in range(epochs):
        optimiser.step()
        if stepped == "epoch-start":
            scheduler.step()
        expected.append(optimiser.param_groups[0]["lr"])
        if stepped == "epoch-end":
            scheduler.step()
    schedule = Step(kind="step", size=size, gamma=gamma, stepped=stepped)
    assert [factor(schedule, epoch) for epoch in range(1, epochs + 1)] == pytest.approx(expected, rel=1e-12)


def test_the_released_code_drops_the_rate_at_epochs_7_14_and_21():
    released = Step(kind="step", size=7, gamma=0.1, stepped="epoch-start")
    drops = [e for e in range(2, 28) if factor(released, e) < factor(released, e - 1)]
    assert drops == [7, 14, 21]
