"""Write .dvc/plots_page.html, the page that `dvc plots` fills, so that it draws without a network.

DVC's own page loads Vega, Vega-Lite and Vega-Embed from a CDN. This one holds them, as the package vl-convert-python
brings them along. Run `python -m tools.plots_page` after changing the text below or the pinned version of that package;
a test says when it is due.
"""

import argparse
from pathlib import Path
from string import Template

import vl_convert

from deepcovid.errors import UserError

PAGE = Path(".dvc/plots_page.html")
LICENCES = Path(__file__).with_name("plots_page_licences.txt")
VEGA_LITE = "v6.4"  # made for the Vega 6 that comes with it; draws specifications of version 5 as version 5 did

# DVC calls `vegaEmbed('#<plot>', spec)`. SVG stays sharp and can be searched; the link to the online editor, the one
# thing on the page that would leave the machine, is left out; what is missing (an empty specification) or goes wrong is
# said where the plot would be. The templates, DVC's and ours, name version 5 in "$schema": left out too, or the console
# fills with warnings.
#
# A template says how many columns of panels 1,216 pixels hold; a narrower window gets fewer. In a diff the revisions
# stand next to each other, the working tree's last. What has the same numbers in all of them is marked as `same`, and
# the templates make it faint.
SNIPPET = """
const CONFIG = {
  font: "system-ui, sans-serif",
  title: {fontSize: 20, anchor: "start", offset: 12},
  axis: {labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal", gridColor: "#e6e8eb"},
  header: {labelFontSize: 13, labelFontWeight: "bold", labelLimit: 0, labelAnchor: "start", labelAlign: "left"},
  legend: {labelFontSize: 13, symbolStrokeWidth: 3, orient: "top", labelLimit: 0, columnPadding: 18, symbolOpacity: 1},
  text: {fontSize: 12},
  view: {stroke: null},
  range: {category: ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#777777"]},
};

// Mark the rows of a diff that are the `same` in all revisions. Rows are compared series by series, such as the curve
// of one net: the cells that are no numbers tell which series a row is of.
const compare = (rows, revisions) => {
  const series = new Map();
  for (const row of rows) {
    const {rev, ...cells} = row;
    const values = Object.values(cells).map((cell) => (cell === "" || isNaN(cell) ? cell : Number(cell)));
    const name = JSON.stringify(values.filter((value) => typeof value === "string"));
    if (!series.has(name)) series.set(name, {rows: [], numbers: revisions.map(() => "")});
    series.get(name).rows.push(row);
    series.get(name).numbers[revisions.indexOf(rev)] += values;
  }
  for (const {rows, numbers} of series.values()) {
    for (const row of rows) row.same = new Set(numbers).size === 1;
  }
};

// Heat maps of data sets that do not run today are left out.
const datasets = new Set();
addEventListener("DOMContentLoaded", () => {
  for (const picture of document.querySelectorAll("[id^=plots_heatmaps_]")) {
    if (![...datasets].some((name) => picture.id.startsWith(`plots_heatmaps_${name}_`))) picture.remove();
  }
});

window.vegaEmbed = async (place, {$schema, ...specification}) => {
  if (!Object.keys(specification).length) {
    document.querySelector(place).textContent = `${place.slice(1)}: nothing to draw, its file is not here (dvc repro).`;
    return;
  }
  const room = document.querySelector("main").clientWidth;
  const config = {...CONFIG, legend: {...CONFIG.legend, columns: Math.floor(room / 170)}};
  if (specification.columns) {
    const rows = specification.data.values;
    for (const row of rows) datasets.add(row.dataset);
    const now = (row) => row.rev === "workspace";
    rows.sort((a, b) => now(a) - now(b));
    const revisions = [...new Set(rows.map((row) => row.rev))];
    const columns = Math.floor((specification.columns * room) / 1216) || 1;
    specification.columns = columns - (columns % revisions.length) || 1;
    if (revisions.length > 1) compare(rows, revisions);
  }
  await vegaEmbed(place, specification, {
    mode: "vega-lite",
    renderer: "svg",
    actions: {export: true, source: true, compiled: false, editor: false},
    config,
  }).catch((error) => {
    console.error(error);
    document.querySelector(place).textContent = `${place.slice(1)} could not be drawn: ${error.message}`;
  });
};
"""

# {refresh_tag} and {plot_divs} are DVC's to fill; {scripts}, the links to the CDN, is left out.
HTML = Template("""\
<!DOCTYPE html>
<!-- Written by `python -m tools.plots_page`; not to be edited by hand. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh_tag}
<title>Deep-COVID, rerun: plots</title>
<style>
body { margin: 2rem clamp(1rem, 2.5vw, 2rem); color: #1f2328; background: white; font: 16px/1.5 system-ui, sans-serif; }
header { max-width: 60rem; }
h1 { margin: 0; font-size: 1.6rem; }
main > div, main > div.vega-embed { display: block; margin: 2rem 0; padding: 1rem 0 0; border-top: 1px solid #d0d7de; }
main > div { white-space: normal !important; overflow-wrap: anywhere; }
main > div > div { box-sizing: border-box; max-width: 100%; }
main img { max-width: 100%; }
</style>
<!--
$licences-->
<script>
(() => {
$javascript
})();
</script>
</head>
<body>
<header>
<h1>Deep-COVID, rerun: plots</h1>
<p><strong>Research software, not for diagnosis.</strong> Plots of data sets called phantom are of
synthetic images: they say nothing about COVID-19. Each plot's menu, at its right, saves it as SVG or PNG.</p>
</header>
<main>
{plot_divs}
</main>
</body>
</html>
""")


def main() -> None:
    """Write the page."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    PAGE.write_text(page(), encoding="utf-8", newline="\n")


def page() -> str:
    """Return the template that DVC fills, about 900 kB of text.

    It has DVC's placeholders `{refresh_tag}` and `{plot_divs}`, once each, and no address that a browser would load.

    Raises:
        UserError: The JavaScript holds a text that DVC would replace, or that would end or hide the script element
            (HTML standard, section 4.12.1.3, "Restrictions for contents of script elements").
    """
    javascript = vl_convert.javascript_bundle(SNIPPET, vl_version=VEGA_LITE).strip()
    for text in ("{scripts}", "{plot_divs}", "{refresh_tag}", "</script", "<script", "<!--"):
        if text in javascript.lower():
            raise UserError(
                f"vl-convert-python's JavaScript holds {text!r}: pin another version in requirements-dev.txt"
            )
    return HTML.substitute(javascript=javascript, licences=LICENCES.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
