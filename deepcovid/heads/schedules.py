"""Learning-rate schedules."""

from deepcovid.settings.recipes import Constant, Step


def factor(schedule: Constant | Step, epoch: int) -> float:
    """Return what the learning rate is multiplied by in `epoch`, counted from 1.

    A step schedule advanced at the start of an epoch, as in the released code, has already made one step in the first:
    with size 7 the first drop comes with epoch 7. Advanced at the end, as PyTorch means it, it comes with epoch 8.
    """
    if isinstance(schedule, Constant):
        return 1.0
    steps = epoch if schedule.stepped == "epoch-start" else epoch - 1
    return schedule.gamma ** (steps // schedule.size)
