"""What stands where on the page: sections with their figures, tables and the steps behind each."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from deepcovid.audits.collection import Collection
from deepcovid.audits.external import External
from deepcovid.audits.verdict import verdict
from deepcovid.drawing.blocks import NOT_RUN, Block, Section, Tile, drawn
from deepcovid.drawing.svg import WIDTH
from deepcovid.drawing.tables import bounds
from deepcovid.drawing.titles import title_of_recipe, title_of_rung
from deepcovid.nets.zoo import title_of
from deepcovid.passes.forked import at_once
from deepcovid.report import figures, tables
from deepcovid.report.audit import audit
from deepcovid.report.contents import FAILED, PAPER, Contents, ShownRun, failed_of
from deepcovid.report.details import MEDIAN_HEAD, evaluated, nets, numbers, parameters, provenance, published
from deepcovid.report.heatmaps import heatmaps
from deepcovid.report.sentences import below_the_bar, detects, in_one_sentence, what_detects, what_repairs, whole_nets
from deepcovid.report.test_sets import external_of, test_sets
from deepcovid.settings.analyses import Detection
from deepcovid.statistics.published import AT_98
from deepcovid.statistics.rates import SENSITIVITY_WANTED, RunResult


def sections(contents: Contents) -> list[Section]:
    """Return the page's sections: the story, then the details, folded.

    Drawing takes nearly all the time, so the cores share it.
    """
    story = (question, answer, failure, cause, meaning, how_sure)
    details = (
        test_sets,
        ladder,
        audit,
        heatmaps,
        confusion,
        roc,
        histogram,
        training,
        published,
        nets,
        numbers,
        provenance,
        parameters,
    )
    drawn = at_once([partial(part, contents) for part in story + details])
    return drawn[: len(story)] + [replace(section, folded=True) for section in drawn[len(story) :]]


def question(contents: Contents) -> Section:
    """The question, and the words that the page needs."""
    here = " On this page the nets have random weights in the place of ImageNet's." if contents.random_weights else ""
    return Section(
        "question",
        "The question",
        (
            "Deep-COVID (Minaee and others, Medical Image Analysis 65:101794, 2020) tells chest X-rays of COVID-19 "
            "patients from others. It takes nets trained on ImageNet and trains only their last layer, the head."
            f"{here}",
            "Can the paper be rerun? Why did a public attempt, with the code that the authors released, find every "
            "image Non-COVID? And what does a good score mean?",
            "A recipe is one set of training choices, such as the paper's text or the released code; a switch is one "
            "of these choices. On a frozen net each image becomes features once. A whole net runs again in every "
            "epoch.",
            "Each head is trained from another seed, a start of its own. The AUC is the chance that a COVID image "
            "scores higher than another: 0.5 is guessing, 1 is perfect.",
        ),
    )


def answer(contents: Contents) -> Section:
    """The answer in one sentence, and the main net's numbers at a glance, on each test set too."""
    net, main = title_of(contents.main_model), contents.of_model(contents.main_model)
    failed, best = failed_of(contents), [run for run in main if run.recipe == PAPER]
    shown = [run for run in main if run.recipe in (FAILED, f"{FAILED}-replayed", PAPER)]
    outside = [part for part in external_of(contents) if contents.main_model in part.value.told]
    wanted = detection_of(contents)
    blocks = []
    reproduced, climbed = failed.result if failed else None, contents.ladder.value.nets[contents.main_model]
    said = in_one_sentence(
        reproduced,
        best[0].result if best else None,
        climbed,
        [(part.value.images, part.value.told[contents.main_model]) for part in outside if part.value.recipe == PAPER],
    )
    steps = tuple(run.evaluated for run in shown) + tuple(part.step for part in outside)
    if said:
        caption = "Computed from the numbers below."
        if failed:
            caption += f" The failure is of heads on a {'whole' if failed.replayed else 'frozen'} net."
        if what_repairs(reproduced, climbed):
            caption += " What repairs it was tried on a frozen net."
        if outside:
            caption += f" Of {outside[0].value.images} only patients count whom these heads were not trained on."
        blocks.append(Block(caption, steps, sentences=(said,)))
    tiles = [tile for run in shown for tile in _tiles(run.title, run.result, tables.collapsed(run), wanted)]
    for part in outside:
        own = part.value.told[contents.main_model].run
        collapsed = f"{own.collapsed_heads} of {own.over_seeds.heads}"
        tiles += _tiles(f"{title_of_recipe(part.value.recipe)}, tested on {part.value.images}", own, collapsed, wanted)
    if tiles:
        caption = f"{net} at a glance. A head calls an image COVID from a score on, the cut-off. {MEDIAN_HEAD}"
        blocks.append(Block(caption, steps, tiles=tuple(tiles)))
    return Section("answer", "The answer in one sentence", blocks=tuple(blocks))


def detection_of(contents: Contents) -> Detection:
    """Return what a head must reach to detect, as the ladder has it."""
    return contents.ladder.value.nets[contents.main_model].detection


def _tiles(title: str, result: RunResult, collapsed: str, wanted: Detection) -> tuple[Tile, Tile, Tile]:
    found = f"{result.confusion.tp} of {result.n_test.covid}"
    short = "" if detects(result, wanted) else "; the head does not detect"
    return (
        Tile(collapsed, title, "trained heads call every test image alike"),
        Tile(f"{result.auc.value:.3f}", title, f"AUC; 95 % interval {bounds(result.auc)}"),
        Tile(found, title, f"COVID test images are found at the cut-off {result.cut_off:g}{short}"),
    )


def failure(contents: Contents) -> Section:
    """The published failure beside ours and the paper's recipe."""
    main, net = contents.of_model(contents.main_model), title_of(contents.main_model)
    told = contents.published_matrices
    matrices = [(f"published:\n{figures.stacked(group.replace('-', ' '))}", cells) for group, cells in told.items()]
    matrices += [(f"{figures.stacked(run.title)}\ncut-off {run.cut_off:g}", run.result.confusion) for run in main]
    caption = f"{net}: from the failed reproduction to the paper's recipe. " + (
        "The first is as published, on the paper's images; the others are ours. " if told else ""
    )
    caption += (
        "Rows are what images are, columns what they are called. Blue is right, red is wrong, tinted by the share of "
        f"the row. {MEDIAN_HEAD}"
    )
    steps = evaluated(main)
    if told:
        steps = (contents.published.step, *steps)
    alt = f"Confusion matrices of {net}. " + "; ".join(_in_words(run) for run in main)
    columns = min(len(matrices), 4)
    figure = figures.confusions(matrices, columns, min(2.6, WIDTH / columns))
    blocks = [drawn(figure, "confusion-main", alt, caption, steps)]
    said = tuple(below_the_bar([(run.title, run.result) for run in main], detection_of(contents)))
    if said:
        blocks.append(Block("Which median heads do not detect.", evaluated(main), sentences=said))
    notes = [
        NOT_RUN.format(f"recipe “{title_of_recipe(name)}” with {net}")
        for name in (FAILED, PAPER)
        if not _any(main, name)
    ]
    return Section("failure", "The failure beside the paper", blocks=tuple(blocks), notes=tuple(notes))


def cause(contents: Contents) -> Section:
    """Why it fails, which switch repairs it, and how many heads do what."""
    blocks, failed = [], failed_of(contents)
    if contents.cause and failed:
        caption = f"Why. Computed from the training log of {failed.net}, {failed.title}, and from the ladder."
        blocks.append(Block(caption, (failed.trained, contents.ladder.step), sentences=contents.cause))
    caption = (
        "What repairs it. Computed from the ladder, which flips one switch, a choice of the recipe, after another."
    )
    sentences = (what_detects(detection_of(contents)), *contents.findings[contents.main_model])
    blocks.append(Block(caption, (contents.ladder.step,), sentences=sentences))
    return Section("cause", "Why it fails, and what repairs it", blocks=tuple(blocks))


def meaning(contents: Contents) -> Section:
    """What the scores say on other people's images, and whether they tell where an image comes from."""
    said = tuple(verdict({name: part.value for name, part in contents.audits.items()}, contents.main_model))
    steps = tuple(part.step for part in contents.audits.values())
    blocks = [Block("Computed from the audits.", steps, sentences=said)] if said else []
    for part in contents.audits.values():
        drawn_of = part.value.meaning(part.step)
        if isinstance(part.value, Collection):
            drawn_of = (replace(block, caption=f"{block.caption} {_originals(contents)}") for block in drawn_of)
        blocks += drawn_of
    tested = any(isinstance(part.value, External) for part in contents.audits.values())
    notes = () if tested else (NOT_RUN.format("test on other people's images"),)
    text = (
        "The COVID-19 images of the paper come from one collection and all others from another. A score may tell the "
        "two collections apart instead of the disease.",
        "In brackets are 95 % intervals. Log-odds are the score on a scale without ends; 0 is a score of 0.5.",
    )
    return Section("meaning", "What the score means", text, tuple(blocks), notes)


def _originals(contents: Contents) -> str:
    """Return why the heads that learned COVID-19 have another AUC in this figure than elsewhere."""
    with_copies = [run for run in contents.of(PAPER) if run.model == contents.main_model]
    text = "Here the heads learn the original images alone."
    if with_copies:
        text += (
            f" Elsewhere on this page they learn the augmented copies too, with which {with_copies[0].net} reaches "
            f"{with_copies[0].result.auc.value:.3f}."
        )
    return text


def ladder(contents: Contents) -> Section:
    """A figure per net: one switch at a time, up and down."""
    ladders, step, blocks = contents.ladder.value.nets, contents.ladder.step, []
    text = (
        "A rung flips one switch and keeps those flipped before it: from the settings of the failed reproduction up to "
        "the paper's, and back down. Collapsed are heads that call every test image alike.",
        "A dot is the mean over heads, its bar the 95 % interval of that mean. On a frozen net the interval is over "
        "seeds: each has other initial weights and another order of the images.",
        *whole_nets([rung for part in ladders.values() for rung in part.rungs.values()]),
        "The table also has what a rung adds to the one below. That interval is a bootstrap over patients.",
    )
    left = [title_of(model) for model in contents.models if model not in ladders]
    if left:
        text += (f"Not climbed with {', '.join(left)}: name a net in `audited_models` of params.yaml, and it climbs.",)
    for model, part in ladders.items():
        rungs, net = list(part.rungs.values()), title_of(model)
        caption = (
            f"{net}, one switch at a time, over {max(rung.seeds for rung in rungs)} seeds. Of all {part.combinations} "
            f"combinations of the switches on frozen features, {part.detecting} detect in every seed. "
        )
        alt = f"Ladder of {net}. " + "; ".join(
            f"{title_of_rung(rung.rung)}: AUC {rung.auc.value:.3f}" for rung in rungs
        )
        figure, table = figures.ladder(rungs), tables.ladder(rungs)
        blocks.append(drawn(figure, f"ladder-{model}", alt, caption, (step,), table))
        if part.effects:
            caption = (
                f"{net}: what each switch adds to the heads' mean on frozen features, from the failure to the paper. "
                "It depends on what was flipped before, so this is the mean over all orders (the Shapley value), in "
                "brackets the least and the most."
            )
            blocks.append(Block(caption, (step,), table=tables.effects(part)))
        if model != contents.main_model:
            blocks.append(Block("Computed from this ladder.", (step,), sentences=contents.findings[model]))
    return Section("ladder", "The ladder, switch by switch", text, tuple(blocks))


def confusion(contents: Contents) -> Section:
    """Confusion matrices of the nets beside the main one."""
    others = [run for model in contents.models if model != contents.main_model for run in contents.of_model(model)]
    replayed = any(run.replayed for run in contents.runs)
    notes = [] if replayed else [NOT_RUN.format("released script replayed on the whole net")]
    blocks = []
    if others:
        matrices = [(f"{run.net}\n{figures.stacked(run.title)}", run.result.confusion) for run in others]
        alt = "; ".join(_in_words(run, net=True) for run in others)
        columns = max(len(contents.of_model(model)) for model in contents.models if model != contents.main_model)
        figure = figures.confusions(matrices, columns, min(2.1, WIDTH / columns))
        caption = f"The other nets, drawn as the first. {MEDIAN_HEAD}"
        blocks.append(drawn(figure, "confusion-others", alt, caption, evaluated(others)))
    return Section("confusion", "Who is called what by the other nets", blocks=tuple(blocks), notes=tuple(notes))


def published_points(contents: Contents) -> list[figures.Point]:
    """Return what others published as a specificity at a sensitivity of 98 % under the paper's recipe."""
    return [
        figures.Point(f"{number.group}, {number.published_for}", number.published, SENSITIVITY_WANTED)
        for number in contents.published.value.numbers.values()
        if number.metric == AT_98 and number.recipe == PAPER
    ]


def roc(contents: Contents) -> Section:
    """ROC curves of the nets with bands, and of every recipe."""
    best, blocks, notes = contents.of(PAPER), [], []
    if best:
        marks = published_points(contents)
        figure, steps = figures.roc_of_nets(best, contents.bootstrap, marks), evaluated(best)
        caption = (
            "The nets under the paper's recipe. The bands hold 95 % at each false positive rate, over "
            f"{contents.bootstrap.bootstrap_samples:,} bootstrap samples of patients, drawn within each class; the "
            "dots are at the cut-off. " + MEDIAN_HEAD
        )
        alt = "ROC curves. " + "; ".join(f"{run.net}: AUC {run.result.auc.value:.3f}" for run in best)
        if marks:
            caption += " The dark marks are published, at a sensitivity of 98 %."
            steps = (*steps, contents.published.step)
        blocks.append(drawn(figure, "roc-nets", alt, caption, steps))
    else:
        notes.append(NOT_RUN.format(f"recipe “{title_of_recipe(PAPER)}”"))
    panels = _by_recipe(contents)
    alt = "; ".join(
        f"{title}, {run.net}: AUC {run.result.auc.value:.3f}" for title, runs in panels.items() for run in runs
    )
    figure = figures.roc_of_recipes(panels)
    blocks.append(
        drawn(figure, "roc-recipes", f"ROC curves. {alt}", f"Every recipe. {MEDIAN_HEAD}", evaluated(contents.runs))
    )
    return Section("roc", "ROC curves", blocks=tuple(blocks), notes=tuple(notes))


def histogram(contents: Contents) -> Section:
    """Histograms of the scores in the paper's three groups."""
    blocks = []
    for number, (title, runs) in enumerate(_by_recipe(contents).items()):
        caption = (
            f"Scores under the recipe “{title}”; the cut-off {runs[0].cut_off:g} is dashed. Shares are of the "
            f"group's images, on an axis by square root. {MEDIAN_HEAD}"
        )
        alt = f"Histograms of P(covid) under {title}. " + "; ".join(_in_words(run, net=True) for run in runs)
        blocks.append(drawn(figures.histograms(runs), f"histogram-{number}", alt, caption, evaluated(runs)))
    text = ("The paper's three groups: COVID-19, another disease, and normal (no finding).",)
    return Section("histograms", "Scores in three groups", text, tuple(blocks))


def training(contents: Contents) -> Section:
    """Loss and test accuracy over epochs."""
    panels = _by_recipe(contents)
    shown = [(title, run) for title, runs in panels.items() for run in runs]
    last = {(title, run.net): run.log.groupby("seed", sort=False).last() for title, run in shown}
    alt = "Training curves. " + "; ".join(
        f"{title}, {net}: last loss {log['loss'].iloc[0]:.3f}, last test accuracy {log['test_accuracy'].iloc[0]:.4f}"
        for (title, net), log in last.items()
    )
    caption = (
        "The line is the median over heads, the area holds them all; dashed is the accuracy of calling every image "
        "non-COVID."
    )
    steps = tuple(run.trained for run in contents.runs)
    blocks = [drawn(figures.training(panels), "training", alt, caption, steps)]
    capped = [run for run in contents.runs if run.result.further]
    if capped:
        said = (run.result.further.sentence(f"{run.net}, {run.title}") for run in capped if run.result.further)
        blocks.append(Block("Computed from the logs of the replays.", evaluated(capped), sentences=tuple(said)))
    text = (
        "An accuracy that lies on the dashed line says nothing: most test images are non-COVID. Where the learning "
        "rate dies early, the loss stays where it was. Selection by best accuracy keeps the first of the best epochs; "
        "where the accuracy never leaves the dashed line that is the first of all, whatever the AUC does later.",
    )
    return Section("training", "Training curves", text, tuple(blocks))


def how_sure(contents: Contents) -> Section:
    """How far the headlines move with the patients, the split, the seed and the run."""
    found, steps, main = contents.uncertainty.value.runs, (contents.uncertainty.step,), contents.main_model
    rows = [(f"{run.net}\n{figures.stacked(run.title)}", found[f"{run.model}-{run.recipe}"]) for run in contents.runs]
    shown = [row for row, run in zip(rows, contents.runs, strict=True) if run.recipe == PAPER or run.model == main]
    splits = max((row.auc.splits.values for _, row in rows if row.auc.splits), default=0)
    divided = f"the heads are trained anew on {splits} random splits by patient" if splits else "this was not tried"
    text: tuple[str, ...] = (
        "Three things could have come out differently. Other patients could have been tested: a bootstrap draws the "
        f"test patients again and again. The images could have been divided differently: {divided}.",
        "And the training could have begun elsewhere: each seed has other initial weights and another order of the "
        "images. Each bar holds 95 % of the values while the others stay as they are.",
    )
    shared = zip(rows, contents.runs, strict=True)
    once = dict.fromkeys(run.net for (_, row), run in shared if not (run.replayed or row.auc.splits))
    if once and splits:
        named = "only nets that params.yaml lists as audited or replayed are"
        text += (f"Not divided anew for {', '.join(once)}: {named}.",)
    if any(row.auc.runs for _, row in rows):
        text += (
            "On a whole net, a seed is of the initial weights alone. The order of the images and the crops are those "
            "of a run, of which there are few; its bar holds the means over seeds.",
        )
    on_selection = contents.uncertainty.value.on_selection()
    chosen = (
        (Block("Computed from the heads of two halves.", steps, sentences=(on_selection,)),) if on_selection else ()
    )
    caption = f"The nets under the paper's recipe, and {title_of(main)} under the others."
    alt = "; ".join(f"{name}: AUC {own.auc.value:.3f}".replace("\n", ", ") for name, own in shown)
    table = tables.uncertainty((name.replace("\n", " "), own) for name, own in rows)
    block = drawn(figures.uncertainty(shown), "sure", f"Intervals of each number. {alt}", caption, steps, table)
    return Section("sure", "How sure are these numbers?", text, (block, *chosen))


def _by_recipe(contents: Contents) -> dict[str, list[ShownRun]]:
    """Return the runs by recipe, in the order of the story."""
    titles = dict.fromkeys(run.title for model in contents.models for run in contents.of_model(model))
    return {title: [run for run in contents.runs if run.title == title] for title in titles}


def _any(runs: Iterable[ShownRun], recipe: str) -> bool:
    return any(run.recipe == recipe for run in runs)


def _in_words(run: ShownRun, *, net: bool = False) -> str:
    """Return a run's confusion matrix as a phrase."""
    cells, counts = run.result.confusion, run.result.n_test
    name = f"{run.net}, {run.title}" if net else run.title
    return f"{name}: {cells.tp} of {counts.covid} covid and {cells.fp} of {counts.non} non called covid"
