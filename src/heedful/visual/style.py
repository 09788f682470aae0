"""The colours that all pictures share."""

from matplotlib.colors import LinearSegmentedColormap

PAPER = "#ffffff"
INK = "#1d2033"
QUIET = "#6b7085"
RULE = "#e4e6ee"

# one hue, evenly darkening: reads the same in grey and for every kind of colour blindness
HEAT = LinearSegmentedColormap.from_list("heedful", ["#f3f5fb", "#c9d2f5", "#8e9eea", "#4d5fd6", "#2a35a6", "#181d6b"])

# a blue and an orange that differ in lightness too
SERIES = ("#3d4fc4", "#e07a1f", "#2b8a6e", "#a13d8f", "#6b7085")
