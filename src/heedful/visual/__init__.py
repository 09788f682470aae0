"""Attention made visible: arrays and tokens in; figures, terminal pictures and self-contained HTML out.

- `heedful.visual.alignment`: `Alignment`, one sentence pair and its weights, which all of these draw
- `heedful.visual.heatmap`: a heat map as PNG or SVG
- `heedful.visual.animation`: the heat map while a model learns, as GIF
- `heedful.visual.html`: a page where pointing at a word shows what it looked at; the same as JSON
- `heedful.visual.terminal`: a heat map of characters
- `heedful.visual.curves`: loss and accuracy while a model learns
- `heedful.visual.comparison`: several models side by side, as curves and as a page of tables
- `heedful.visual.grids`: the weights of many examples side by side with the truth; frames joined to a GIF
- `heedful.visual.bars`: weights as bars
- `heedful.visual.picture`: what each word looked at, over the picture it tells of
- `heedful.visual.looks_page`: the same as a page
- `heedful.visual.highlight`: a page of texts whose words are marked
- `heedful.visual.terminal_reading`: a text with marked words in the terminal
- `heedful.visual.confusion`: a confusion matrix, and beside it the calibration
"""
