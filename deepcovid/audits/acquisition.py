"""How well the label is predicted from what is not disease: how an image was taken and filed, and of whom.

Each variable is given to small boosted trees, cross-validated by patient; what they make of patients they have not seen
is compared with the label.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from deepcovid import catalogue
from deepcovid.audits.audit import Audit
from deepcovid.audits.enough import Way
from deepcovid.audits.views import projections
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.steps import Step
from deepcovid.drawing.tables import Table, spread
from deepcovid.errors import UserError
from deepcovid.schema import Strict
from deepcovid.settings import AuditSettings, EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Estimate, Headline

FRAME = 4  # pixels: the border
CORNERS = 4  # a corner's side, where markers and text stand, is a quarter of the image's
NEAR_WHITE = 240  # of 255
AGE = re.compile(r"(\d+(?:\.\d+)?)Y?\+?")  # 65, 065Y as DICOM writes it, 90+
MAX_CATEGORIES = 250  # the trees tell 255 apart; rarer ones count as one
Mask = NDArray[np.bool_]


class Variable(NamedTuple):
    """What may give the label away: words for an axis, and the columns of `measurements` that it consists of."""

    title: str
    columns: tuple[str, ...]


VARIABLES = {
    "view": Variable("view (AP, PA, ...)", ("view",)),
    "size": Variable("size of the original, pixels", ("width", "height")),
    "aspect_ratio": Variable("aspect ratio", ("aspect_ratio",)),
    "file_format": Variable("file format, channels and bits", ("format", "mode", "bits")),
    "border": Variable("brightness of the border", ("border_mean", "border_deviation")),
    "markers": Variable("bright marks in the corners", ("corner_brightest", "corner_near_white")),
    "age": Variable("age", ("age",)),
    "sex": Variable("sex", ("sex",)),
}
CATEGORIES = ("view", "format", "mode", "sex")
TOGETHER = "how the image was taken, all together"


class Predicted(Strict):
    """How well one variable predicts the label, on the images for which it is known.

    Attributes:
        title: The variable in plain words.
        columns: The measurements that it consists of.
        known: Of how many images it is known.
        auc: What is reached in cross-validation by patient; the interval is a bootstrap over patients.
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


class Acquisition(Audit):
    """How well the label is predicted from how an image was taken, and of whom.

    Attributes:
        images: How many images there are.
        together: All variables together that are known for every image.
        variables: Each variable, by its name in VARIABLES.
    """

    images: Counts
    together: Together
    variables: dict[str, Predicted]

    def headline(self) -> Headline:
        """Return the AUC of all variables together."""
        auc = self.together.auc
        return Headline(auc=auc.value, auc_low=auc.low, auc_high=auc.high) if auc else Headline()

    def ways(self) -> Iterator[Way]:
        """Yield the variables that have an AUC, and all together."""
        for variable in self.variables.values():
            if variable.auc:
                known = None if variable.known == self.images else variable.known
                yield Way(variable.title, "acquisition", variable.auc, known=known)
        if self.together.auc:
            yield Way(TOGETHER, "acquisition", self.together.auc)

    def sentences(self, ways: Sequence[Way]) -> Iterable[str]:
        """Yield nothing: deepcovid/audits/enough.py speaks of what was tried here."""
        return ()

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield a table of the variables, highest AUC first and those without one last."""
        rows = [
            (
                variable.title,
                f"{variable.known.covid:,} / {variable.known.non:,}",
                spread(variable.auc) if variable.auc else f"{variable.skipped}",
            )
            for variable in sorted(self.variables.values(), key=lambda one: -one.auc.value if one.auc else 1.0)
        ]
        caption = (
            "How well the label is predicted from how an image was taken and of whom, by a simple model, "
            "cross-validated by patient; each variable on the images where it is known. A view is AP lying or not: not "
            "every source says. A size is that of the original, not of a reduced edition. Format, channels and bits "
            "are those of the files at hand, which in an edition that was saved anew are not the originals'."
        )
        yield Block(caption, (step,), table=Table(("variable", "known of covid / non", "AUC (95 % interval)"), rows))


def measurements(table: pd.DataFrame, headers: pd.DataFrame, pixels: Iterable[NDArray[np.uint8]]) -> pd.DataFrame:
    """Return what is known of each image's acquisition: numbers, and text for `CATEGORIES`; NaN where not known.

    Args:
        table: The catalogue (images).
        headers: (images), as deepcovid.audits.headers.headers returns them.
        pixels: The images in the catalogue's order, in batches (batch, side, side, 1 or 3).

    Returns:
        With the index of `table`. `view` is AP where the patient lay, too. `width` and `height` are the catalogue's
        where it has both, that is, of the original of a reduced edition, else the file's; in an archive whose files
        differ from the catalogue, sizes that it lacks are not known. `border_` is of the outermost 4 pixels;
        `corner_brightest` the mean of the brightest 1 % of the pixels in the four corners, whose sides are a quarter of
        the image's; `corner_near_white` the share of those pixels from 240 of 255 on.
    """
    catalogued = table[["width", "height"]].apply(pd.to_numeric, errors="coerce")
    listed, own = catalogued.notna().all(axis="columns"), headers[["width", "height"]]
    reduced = table["archive"].isin(table["archive"][listed & (catalogued != own).any(axis="columns")])
    size = catalogued.where(listed, own.where(~reduced), axis="index")
    ratio = (size["width"] / size["height"]).fillna(own["width"] / own["height"])  # which a reduction leaves as it is
    text = pd.concat([projections(table["view"]), table["sex"], headers[["format", "mode"]]], axis="columns")
    brightness = np.concatenate([_brightness(batch) for batch in pixels])
    columns = [*VARIABLES["border"].columns, *VARIABLES["markers"].columns]
    return pd.concat(
        [
            text.where(text != ""),
            size,
            ratio.rename("aspect_ratio"),
            headers["bits"],
            table["age"].map(years).rename("age"),
            pd.DataFrame(brightness, index=table.index, columns=columns),
        ],
        axis="columns",
    )


def years(age: str) -> float:
    """Return an age as a number, NaN where it is none."""
    number = AGE.fullmatch(age.strip())
    return float(number[1]) if number else np.nan


def confounding(
    table: pd.DataFrame, measured: pd.DataFrame, audit: AuditSettings, bootstrap: EvaluateSettings
) -> Acquisition:
    """Return how well each variable, and all together, predict the label.

    A variable is judged on the images for which it is known, and `together` consists of the variables that are known
    for every image. Missing values are not used as a signal: they reveal the source, but cannot be seen in an image.
    An interval is that of the trees as they are, not of trees grown on other patients: of variables that say nothing,
    one in eight misses 0.5 (measured).

    Args:
        table: The catalogue (images), originals only.
        measured: (images), as `measurements` returns them.
        audit: Number of folds, and their seed.
        bootstrap: Samples and seed of the intervals.

    Raises:
        UserError: The images are of one class only.
    """
    # Ordered by name, so that the folds do not depend on the order of the rows.
    table = table.sort_values("image_id")
    measured = measured.loc[table.index]
    covid = catalogue.covid(table).to_numpy()
    if covid.all() or not covid.any():
        raise UserError("acquisition: the images are of one class only; widen the filter or change the split")
    patient = catalogue.patients(table)
    complete = [name for name, variable in VARIABLES.items() if _known(measured, variable).all()]
    together = Variable("all together", tuple(column for name in complete for column in VARIABLES[name].columns))
    wanted = VARIABLES | {"together": together}
    # Variables that are known for the same images share folds and bootstrap draws.
    groups: dict[bytes, list[str]] = {}
    for name, variable in wanted.items():
        groups.setdefault(_known(measured, variable).tobytes(), []).append(name)
    reached: dict[str, Estimate] = {}
    skipped: dict[str, str] = {}
    for mask, names in groups.items():
        known = np.frombuffer(mask, dtype=bool)
        patients = [patient[known & side].nunique() for side in (covid, ~covid)]
        if min(patients) < audit.folds:
            few = f"known for {patients[0]} covid and {patients[1]} non patients; needs {audit.folds} of each"
            skipped |= dict.fromkeys(names, few)
            continue
        trial = Trial(covid[known], patient[known], audit, bootstrap)
        for name in names:
            reached[name] = trial.auc(measured.loc[known, list(wanted[name].columns)])
    return Acquisition(
        images=Counts.of(covid),
        together=Together(variables=complete, auc=reached.get("together"), skipped=skipped.get("together")),
        variables={
            name: Predicted(
                title=variable.title,
                columns=list(variable.columns),
                known=Counts.of(covid[_known(measured, variable)]),
                auc=reached.get(name),
                skipped=skipped.get(name),
            )
            for name, variable in VARIABLES.items()
        },
    )


class Trial:
    """Cross-validation by patient of what predicts the label of a set of images.

    Attributes:
        fold: (images), in which fold an image is left out; a patient's images are all in one.
    """

    def __init__(self, covid: Mask, patient: pd.Series, audit: AuditSettings, bootstrap: EvaluateSettings) -> None:
        """Draw folds and bootstrap samples for images (images) of which `patient` is known, or stands for one alone."""
        self.seed, self.bootstrap = audit.seed, Bootstrap.over_patients(covid, patient, bootstrap)
        self.fold = np.empty(len(covid), dtype=np.intp)
        folds = StratifiedGroupKFold(audit.folds, shuffle=True, random_state=audit.seed)
        for number, (_, left_out) in enumerate(folds.split(covid, covid, patient)):
            self.fold[left_out] = number

    def auc(self, values: pd.DataFrame) -> Estimate:
        """Return the AUC with which values (images, columns) predict the label."""
        score = self.scores(values)
        once = Bootstrap(self.bootstrap.positive, np.ones((len(score), 1)))
        (auc,), drawn = (auc_within(score, self.fold, sample) for sample in (once, self.bootstrap))
        return self.bootstrap.with_interval(float(auc), drawn)

    def scores(self, values: pd.DataFrame) -> NDArray[np.float64]:
        """Return a score per image (images), from trees that have seen no image of its patient."""
        categorical = [name in CATEGORIES for name in values]
        inputs = values.apply(lambda column: _coded(column) if column.name in CATEGORIES else column).to_numpy(float)
        scores = np.empty(len(inputs))
        for number in np.unique(self.fold):
            left_out = self.fold == number
            trees = HistGradientBoostingClassifier(
                max_iter=50,
                max_leaf_nodes=4,
                min_samples_leaf=5,
                categorical_features=categorical,
                early_stopping=False,
                random_state=self.seed,
            )
            with threadpool_limits(1):  # beside other work, threads that wait for each other crawl
                trees.fit(inputs[~left_out], self.bootstrap.positive[~left_out])
                scores[left_out] = trees.decision_function(inputs[left_out])
        return scores


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


def _coded(column: pd.Series) -> pd.Series:
    """Return text as numbers, the most frequent first."""
    ranks = {name: rank for rank, name in enumerate(column.value_counts(sort=True).index)}
    return column.map(ranks).clip(upper=MAX_CATEGORIES)


def auc_within(score: NDArray[np.float64], fold: NDArray[np.intp], bootstrap: Bootstrap) -> NDArray[np.float64]:
    """Return the AUC over the pairs of images of one fold, on each sample: (samples).

    Scores of different folds are of different models and not compared: where a fold holds more of a class, its model
    saw fewer of it, so that over all pairs a variable that says nothing has an AUC below 0.5 (Airola et al. 2011).
    Samples that hold no such pair are left out.
    """
    covid, (_, samples) = bootstrap.positive, bootstrap.weights.shape
    right, pairs = np.zeros(samples), np.zeros(samples)
    for number in np.unique(fold):
        own = fold == number
        drawn = bootstrap.weights[own]
        compared = drawn[covid[own]].sum(axis=0) * drawn[~covid[own]].sum(axis=0)
        some = compared > 0
        right[some] += Bootstrap(covid[own], drawn[:, some]).auc(score[own]) * compared[some]
        pairs += compared
    return right[pairs > 0] / pairs[pairs > 0]
