"""Trained models for other runtimes: ONNX, programs of torch, CTranslate2, browsers.

| function | what it writes | what runs it |
|---|---|---|
| export_onnx | the graphs of any model | onnxruntime and others |
| export_torch | the same as programs | torch, without heedful |
| export_ctranslate2 | a translating Transformer in CTranslate2's own form | ctranslate2 |
| export_web | a page with the two graphs and onnxruntime-web | a browser |
"""

from .ctranslate2 import export_ctranslate2 as export_ctranslate2
from .graphs import make_graphs as make_graphs
from .onnx import export_onnx as export_onnx
from .torch_programs import export_torch as export_torch
from .web_page import export_web as export_web
