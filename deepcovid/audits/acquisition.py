"""How well the label is predicted from what is not disease: how an image was taken and filed, and of whom.

Each variable is given to small boosted trees, fitted on the training originals; what they make of the test images is
compared with the label. What belongs to a file and not to what it shows (size, name, format) is no variable, as no net
is given it: of these it is said what tells the classes apart, exactly.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from deepcovid import catalogue
from deepcovid.audits.audit import Audit
from deepcovid.audits.enough import Way
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.steps import Step
from deepcovid.drawing.tables import Table, spread
from deepcovid.errors import UserError
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Estimate, Headline, Number
from deepcovid.statistics.views import projections

FRAME = 4  # pixels: the border
CORNERS = 4  # a corner's side, where markers and text stand, is a quarter of the image's
NEAR_WHITE = 240  # of 255
AGE = re.compile(r"(\d+(?:\.\d+)?)Y?\+?")  # 65, 065Y as DICOM writes it, 90+
MAX_CATEGORIES = 250  # the trees tell 255 apart; rarer ones count as one
TELLING = 0.6  # the AUC from which on a property is told of
Mask = NDArray[np.bool_]
Scores = dict[str, NDArray[np.float64]]  # by what they were made from, in plain words: (test images), larger for covid


class Variable(NamedTuple):
    """What may give the label away: words for an axis, and the columns of `measurements` that it consists of."""

    title: str
    columns: tuple[str, ...]


VARIABLES = {
    "view": Variable("view (AP, PA, ...)", ("view",)),
    "aspect_ratio": Variable("aspect ratio", ("aspect_ratio",)),
    "border": Variable("brightness of the border", ("border_mean", "border_deviation")),
    "markers": Variable("bright marks in the corners", ("corner_brightest", "corner_near_white")),
    "age": Variable("age", ("age",)),
    "sex": Variable("sex", ("sex",)),
}
CATEGORIES = ("view", "sex")
TOGETHER = "how the image was taken, all together"
PROPERTIES = {
    "size": Variable("short side of the original in pixels", ("short_side",)),
    "name": Variable("ending of the file's published name", ("ending",)),
    "file_format": Variable("format, channels and bits of the file", ("format", "mode", "bits")),
}


class Predicted(Strict):
    """How well one variable predicts the label of the test images for which it is known.

    Attributes:
        title: The variable in plain words.
        columns: The measurements that it consists of.
        known: Number of test images of which it is known.
        auc: What is reached; the interval is a bootstrap over patients.
        skipped: Why there is no AUC, where there is none.
    """

    title: str
    columns: list[str]
    known: Counts
    auc: Estimate | None = None
    skipped: str | None = None


class Together(Strict):
    """The same of all `variables` together that are known for every image."""

    variables: list[str]
    auc: Estimate | None = None
    skipped: str | None = None


class Property(Strict):
    """What tells the classes' files apart most: the value whose share differs most between them.

    A fact about all images of the data set, not an estimate.

    Attributes:
        title: The property in plain words.
        known: Number of images of which it is known.
        value: The value; None where the property is not known.
        having: How many images have it.
        auc: The AUC of having it or not: half of the shares' difference above 0.5.
    """

    title: str
    known: Counts
    value: str | None = None
    having: Counts | None = None
    auc: Number | None = None


class Acquisition(Audit):
    """How well the label is predicted from how an image was taken, and of whom.

    Attributes:
        images: How many test images there are.
        together: All variables together that are known for every image.
        variables: Each variable, by its name in VARIABLES.
        properties: Each property of the files, by its name in PROPERTIES.
    """

    images: Counts
    together: Together
    variables: dict[str, Predicted]
    properties: dict[str, Property]

    def headline(self) -> Headline:
        """Return the AUC of all variables together."""
        auc = self.together.auc
        return Headline.of(auc) if auc else Headline()

    def ways(self) -> Iterator[Way]:
        """Yield the variables that have an AUC, and all together."""
        for variable in self.variables.values():
            if variable.auc:
                known = None if variable.known == self.images else variable.known
                yield Way(variable.title, "acquisition", variable.auc, known=known)
        if self.together.auc:
            yield Way(TOGETHER, "acquisition", self.together.auc)

    def sentences(self) -> Iterable[str]:
        """Yield which property of the files tells the classes apart best, if any does."""
        found = [one for one in self.properties.values() if one.having and one.auc and one.auc >= TELLING]
        if found:
            best = max(found, key=lambda one: one.auc or 0)
            having, known = best.having or best.known, best.known
            yield (
                "The files tell the classes apart by what no net is given, though it may leave traces in the pixels. "
                f"The {best.title} is {best.value} for {having.covid:,} of {known.covid:,} COVID images and "
                f"{having.non:,} of {known.non:,} others."
            )

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield a table of the variables, highest AUC first and those without one last, and one of the properties."""
        rows = [
            (
                variable.title,
                f"{variable.known.covid:,} / {variable.known.non:,}",
                spread(variable.auc) if variable.auc else f"{variable.skipped}",
            )
            for variable in sorted(self.variables.values(), key=lambda one: -one.auc.value if one.auc else 1.0)
        ]
        caption = (
            "How well the label is predicted from how an image was taken and of whom. Boosted trees are fitted on the "
            "training images and tested on the test images, each variable where it is known. A view is AP lying or "
            "not: not every source says."
        )
        yield Block(caption, (step,), table=Table(("variable", "known of covid / non", "AUC (95 % interval)"), rows))
        caption = (
            "What belongs to the files of all images, not to what they show; no net is given it. Of each property the "
            "value that tells the classes apart most. In an edition that was saved anew, the format of the "
            "originals is not known."
        )
        header = ("property", "value", "covid", "others", "AUC of having it")
        yield Block(caption, (step,), table=Table(header, [_cells(one) for one in self.properties.values()], names=2))


def _cells(own: Property) -> tuple[str, ...]:
    if own.value is None or own.having is None:
        return own.title, "not known", "", "", ""
    pairs = ((own.having.covid, own.known.covid), (own.having.non, own.known.non))
    return own.title, own.value, *(f"{having:,} of {known:,}" for having, known in pairs), f"{own.auc:.3f}"


def measurements(table: pd.DataFrame, headers: pd.DataFrame, pixels: Iterable[NDArray[np.uint8]]) -> pd.DataFrame:
    """Return what is known of each image's acquisition: numbers, and text for `CATEGORIES`; NaN where not known.

    Args:
        table: The catalogue (images).
        headers: (images), as deepcovid.audits.headers.headers returns them.
        pixels: The images in the catalogue's order, in batches (batch, side, side, 1 or 3).

    Returns:
        With the index of `table`. `view` is AP where the patient lay, too. `short_side` is the catalogue's where it has
        width and height, that is, of the original of a reduced edition, else the file's; in an archive whose files
        differ from the catalogue, sizes that it lacks are not known, nor is the originals' format. `border_` is of the
        outermost 4 pixels; `corner_brightest` the mean of the brightest 1 % of the pixels in the four corners, whose
        sides are a quarter of the image's; `corner_near_white` the share of those pixels from 240 of 255 on.
    """
    catalogued = table[["width", "height"]].apply(pd.to_numeric, errors="coerce")
    listed, own = catalogued.notna().all(axis="columns"), headers[["width", "height"]]
    reduced = table["archive"].isin(table["archive"][listed & (catalogued != own).any(axis="columns")])
    size = catalogued.where(listed, own.where(~reduced), axis="index")
    ratio = (size["width"] / size["height"]).fillna(own["width"] / own["height"])  # which a reduction leaves as it is
    text = pd.concat([projections(table["view"]), table["sex"], ending(table)], axis="columns")
    brightness = np.concatenate([_brightness(batch) for batch in pixels])
    columns = [*VARIABLES["border"].columns, *VARIABLES["markers"].columns]
    return pd.concat(
        [
            text.where(text != ""),
            size.min(axis="columns", skipna=False).rename("short_side"),
            ratio.rename("aspect_ratio"),
            headers[["format", "mode", "bits"]].where(~reduced),
            table["age"].map(years).rename("age"),
            pd.DataFrame(brightness, index=table.index, columns=columns),
        ],
        axis="columns",
    )


def ending(table: pd.DataFrame) -> "pd.Series[str]":
    """Return how the file names of images end, as they were published; blank where a name has no dot."""
    names = table["source_image"].where(table["source_image"] != "", table["member"])
    return names.str.extract(r"\.(\w+)$", expand=False).str.lower().fillna("").rename("ending")


def years(age: str) -> float:
    """Return an age as a number, NaN where it is none."""
    number = AGE.fullmatch(age.strip())
    return float(number[1]) if number else np.nan


def confounding(table: pd.DataFrame, measured: pd.DataFrame, settings: EvaluateSettings) -> tuple[Acquisition, Scores]:
    """Return how well each variable, and all together, predict the label of the test images.

    A variable is judged on the images for which it is known, and `together` consists of the variables that are known
    for every image. Missing values are not used as a signal: they reveal the source, but cannot be seen in an image.
    An interval is that of the trees as they are, not of trees grown on other patients.

    Args:
        table: The catalogue (images) with its split, originals only.
        measured: (images), as `measurements` returns them.
        settings: Samples and seed of the intervals.

    Returns:
        What is reached, and the test images' scores, in the table's order, from what is known for every image.

    Raises:
        UserError: The training or the test images are of one class only.
    """
    covid, test = catalogue.covid(table).to_numpy(), catalogue.in_test(table).to_numpy()
    for name, rows in (("training", ~test), ("test", test)):
        if covid[rows].all() or not covid[rows].any():
            raise UserError(
                f"acquisition: the {name} images are of one class only; widen the filter or change the split"
            )
    complete = [name for name, variable in VARIABLES.items() if _known(measured, variable).all()]
    together = Variable(TOGETHER, tuple(column for name in complete for column in VARIABLES[name].columns))
    reached, skipped, scores = {}, {}, {}
    for name, variable in (VARIABLES | {"together": together}).items():
        known = _known(measured, variable)
        few = _too_few(table[known])
        if few or not variable.columns:
            skipped[name] = few or "no variable is known for every image"
            continue
        score = fitted(measured.loc[known & ~test, list(variable.columns)], covid[known & ~test])(
            measured.loc[known & test, list(variable.columns)]
        )
        reached[name] = Bootstrap.of(table[known & test], settings).auc_estimate(score)
        if known.all():
            scores[variable.title] = score
    found = Acquisition(
        images=Counts.of(covid[test]),
        together=Together(variables=complete, auc=reached.get("together"), skipped=skipped.get("together")),
        variables={
            name: Predicted(
                title=variable.title,
                columns=list(variable.columns),
                known=Counts.of(covid[test & _known(measured, variable)]),
                auc=reached.get(name),
                skipped=skipped.get(name),
            )
            for name, variable in VARIABLES.items()
        },
        properties={
            name: told_by(variable.title, measured[list(variable.columns)], covid)
            for name, variable in PROPERTIES.items()
        },
    )
    return found, scores


def fitted(values: pd.DataFrame, covid: Mask) -> Callable[[pd.DataFrame], NDArray[np.float64]]:
    """Return what gives images a score, larger for covid: trees fitted on values (images, columns) and `covid`."""
    codes = {name: _codes(values[name]) for name in values if name in CATEGORIES}

    def coded(others: pd.DataFrame) -> NDArray[np.float64]:
        columns = [others[name].map(codes[name]) if name in codes else others[name] for name in others]
        return np.column_stack(columns).astype(float)

    trees = HistGradientBoostingClassifier(
        max_iter=50,
        max_leaf_nodes=4,
        min_samples_leaf=5,
        categorical_features=[name in codes for name in values],
        early_stopping=False,
        random_state=0,  # of no effect: nothing is drawn
    )
    with threadpool_limits(1):  # beside other work, threads that wait for each other crawl
        trees.fit(coded(values), covid)

    def score(others: pd.DataFrame) -> NDArray[np.float64]:
        with threadpool_limits(1):
            return np.asarray(trees.decision_function(coded(others)))

    return score


def told_by(title: str, values: pd.DataFrame, covid: Mask) -> Property:
    """Return which value (a row of `values`, (images, columns)) tells the classes apart most."""
    known = values.notna().all(axis="columns").to_numpy(bool)
    counts = Counts.of(covid[known])
    if not counts.covid or not counts.non:
        return Property(title=title, known=counts)
    text = values[known].map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    joined = text.agg(" ".join, axis="columns")
    shares = pd.crosstab(joined, covid[known], normalize="columns")
    apart = (shares[True] - shares[False]).abs()
    value = str(apart.idxmax())
    having = Counts.of(covid[known][(joined == value).to_numpy()])
    return Property(title=title, known=counts, value=value, having=having, auc=(1 + float(apart.max())) / 2)


def _too_few(table: pd.DataFrame) -> str:
    """Return why a variable cannot be tried on these images of both classes and sides; blank if it can."""
    patients, test = catalogue.patients(table), catalogue.in_test(table)
    groups = {
        f"{label} {side}": int(patients[(table["label"] == label) & rows].nunique())
        for label in catalogue.LABELS
        for side, rows in (("training", ~test), ("test", test))
    }
    few = [f"{number} {name} patients" for name, number in groups.items() if number < FEWEST_PATIENTS]
    return f"known for {', '.join(few)}; needs {FEWEST_PATIENTS}" if few else ""


def _brightness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return mean and deviation of the border, and brightest and near-white pixels of the corners: (batch, 4)."""
    grey = images.mean(axis=-1)
    inside = np.zeros(grey.shape[1:], dtype=bool)
    inside[FRAME:-FRAME, FRAME:-FRAME] = True
    border = grey[:, ~inside]
    corner = grey.shape[1] // CORNERS
    ends = np.r_[:corner, -corner:0]
    corners = np.sort(grey[:, ends][:, :, ends].reshape(len(grey), -1), axis=1)
    brightest = corners[:, -(corners.shape[1] // 100) :].mean(axis=1)
    return np.column_stack(
        [border.mean(axis=1), border.std(axis=1), brightest, (corners >= NEAR_WHITE).mean(axis=1)],
    )


def _known(measured: pd.DataFrame, variable: Variable) -> Mask:
    return measured[list(variable.columns)].notna().all(axis="columns").to_numpy(bool)


def _codes(column: pd.Series) -> dict[str, int]:
    """Return a number for each text, the most frequent first; a text that training has not is none."""
    ranks = {str(name): rank for rank, name in enumerate(column.value_counts(sort=True).index)}
    return {name: min(rank, MAX_CATEGORIES) for name, rank in ranks.items()}
