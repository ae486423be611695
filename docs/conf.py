"""The documentation site: Sphinx, Markdown pages by MyST, the theme Furo. `make docs` builds it."""

from __future__ import annotations

import bcpnet

project = "bcpnet"
author = "bcpnet maintainers"
copyright = "bcpnet maintainers; Apache-2.0"
release = version = bcpnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True  # a name that leads nowhere is a warning, and warnings are errors
# Types of other packages, whose documentation is not here.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(numpy|PIL|pathlib|fractions|supervision|collections|bcpnet\.(backends|frames|media)|Frame|Generator).*",
    )
]
default_role = "code"  # docstrings write `code` with single backticks

myst_heading_anchors = 3  # links to #a-heading work as they do on GitHub
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"bcpnet {release}"
html_show_sphinx = False
html_show_sourcelink = False
