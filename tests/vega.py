"""What Vega drew, read from its SVG."""

import re

# Titles, axes and legends are drawn without any data.
DATA_MARK = re.compile(r'aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="(?!title|axis|legend)')


def marks(svg):
    """Return the fields and values of each mark that stands for data, as a screen reader has them."""
    return [dict(part.split(": ", 1) for part in label.split("; ")) for label in DATA_MARK.findall(svg)]
