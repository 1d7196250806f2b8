"""Views as far as every source tells them apart."""

import pandas as pd


def projections(view: pd.Series) -> pd.Series:
    """Return views (images) without how the patient lay: AP Supine is AP.

    covid-chestxray-dataset writes AP Supine, CheXpert writes AP of patients who stand, sit and lie. Kept apart, the
    words would tell the sources apart, whatever the view.
    """
    return view.replace({"AP Supine": "AP"})
