"""Tests: one file per module of deepcovid/ and stages/."""
