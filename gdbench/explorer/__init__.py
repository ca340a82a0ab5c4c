"""The explorer: a page in which a small generator runs, with sliders for the directions of one run or several."""
