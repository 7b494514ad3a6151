"""The site's settings.  ``make docs`` builds it into build/docs/html."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = str(ROOT)  # of the kernels that run the notebooks: experiments are no installed package

import npnn
from docs.reference import docstrings, house, pages

HERE = Path(__file__).parent

project, author, release = "npnn", "npnn's authors", npnn.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["reference", "examples"]
suppress_warnings = ["mystnb.unknown_mime_type"]
nitpicky = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # what a page shows is what the present code gives
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"  # that kernels are compiled the first time

autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
add_module_names = True
python_maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = "npnn"
html_favicon = "static/npnn.svg"
html_logo = "static/npnn.svg"
html_context = {"default_mode": "auto"}
html_static_path = ["static"]
html_css_files = ["npnn.css"]
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navigation_depth": 2,
    "show_nav_level": 1,
    "collapse_navigation": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("index", "start", "house", "demo")}


def set_docstring(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    text = pages.completed("\n".join(lines))
    lines[:] = [*docstrings.rst(text), *pages.describe(name, value)]


def setup(app: Any) -> None:
    pages.write(HERE / "api")
    house.draw(HERE / "static")
    app.connect("autodoc-process-docstring", set_docstring)
