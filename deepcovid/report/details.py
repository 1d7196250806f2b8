"""The last details: published numbers, net against net, every run, where data and weights came from, what was set."""

from collections.abc import Iterable, Sequence

from deepcovid.drawing.blocks import NOT_RUN, Block, Section, drawn
from deepcovid.drawing.steps import Step
from deepcovid.images.put_aside import put_aside
from deepcovid.report import figures, tables
from deepcovid.report.contents import Contents, ShownRun
from deepcovid.statistics.bootstrap import NEAR_ONE

MEDIAN_HEAD = "Numbers and curves are those of the median head."


def published(contents: Contents) -> Section:
    """Ours beside what others report."""
    title = "Against published numbers"
    value, steps = contents.published.value, (contents.published.step,)
    text = (
        f"In {value.inside} of {value.compared} comparisons the published number, before it was rounded, may lie "
        "inside our 95 % interval."
    )
    if value.of_other_test_images:
        text += f" {value.of_other_test_images} more were measured on other test images and are not counted."
    if not value.numbers:
        return Section("published", title, notes=("No published number is of this data set.",))
    caption = "Published numbers, each with its source, and ours."
    blocks = [Block(caption, steps, table=tables.published(value.numbers.values()))]
    rates = [number for number in value.numbers.values() if not number.counts_images]
    if rates:
        alt = "; ".join(f"{item.name}: published {item.published}, ours {item.ours.value:.3f}" for item in rates)
        caption = "Rates and areas: published values on our 95 % intervals."
        blocks.insert(0, drawn(figures.published(rates), "published", alt, caption, steps))
    return Section("published", title, (text,), tuple(blocks))


def nets(contents: Contents) -> Section:
    """Paired differences between nets, and what they say of the paper's claim."""
    title = "Is one net better than another?"
    if not contents.nets.value.pairs:
        return Section("nets", title, notes=(NOT_RUN.format("paired comparison of nets"),))
    caption = (
        "Paired differences on the same test images, rates at the cut-off, each with a bootstrap over patients. These "
        "are estimates; the one comparison that is tested stands above."
    )
    steps = (contents.nets.step,)
    blocks = (
        Block("Computed from the table below.", steps, sentences=contents.nets_sentences),
        Block(caption, steps, table=tables.nets(contents.nets.value.pairs.values())),
    )
    return Section("nets", title, blocks=blocks)


def numbers(contents: Contents) -> Section:
    """Every run's numbers."""
    ordered = [run for model in contents.models for run in contents.of_model(model)]
    caption = (
        "Every run. Intervals are 95 %, a bootstrap over patients. For a rate of 0 or 1 the interval is Wilson's, and "
        f"for an AUC of {NEAR_ONE} or more Newcombe's, both computed from numbers of patients instead of images. "
        f"Collapsed heads call every test image alike. {MEDIAN_HEAD}"
    )
    return Section("numbers", "All runs", blocks=(Block(caption, evaluated(ordered), table=tables.runs(ordered)),))


def provenance(contents: Contents) -> Section:
    """Where data and weights came from."""
    steps = distinct(made.step for made in (*contents.provenance.values(), *contents.put_aside.values()))
    data = contents.provenance["data"].value
    text = [f"{data['images']:,} images of the source {data['source']}."]
    text += [put_aside(quarantined.value, name) for name, quarantined in contents.put_aside.items()]
    block = Block("Where each file came from.", steps, table=tables.files(contents.provenance))
    return Section("provenance", "Data and weights", (" ".join(text),), (block,))


def parameters(contents: Contents) -> Section:
    """What was set."""
    trained, measured = tuple(run.trained for run in contents.runs), evaluated(contents.runs)
    others = tuple(step for step in contents.steps if step not in (*trained, *measured))
    blocks = (
        Block("The recipes, setting by setting.", trained, table=tables.recipes(contents.recipes)),
        Block("The data set and what the recipes share.", others, table=tables.parameters(contents.parameters)),
    )
    return Section("parameters", "Parameters", blocks=blocks)


def evaluated(runs: Sequence[ShownRun]) -> tuple[Step, ...]:
    """Return the steps that measured the runs."""
    return tuple(run.evaluated for run in runs)


def distinct(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps without repetitions."""
    return tuple({step.name: step for step in steps}.values())
