"""Pictures of what pages show, as SVG in the page: pure functions of values.

Colours come from the style sheet by the class `s-STATE`, so that a picture follows the reader's
choice of light or dark. A picture says in its title what it shows.
"""
