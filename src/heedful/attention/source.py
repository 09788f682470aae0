"""Where a mechanism comes from: every part carries one of these, and the catalogue is read from them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Source:
    """Paper, the place in it, and the year.

    >>> Source("Vaswani et al.: Attention Is All You Need", "equation 1", 2017).place
    'equation 1'
    """

    paper: str
    place: str
    year: int


# The papers that several parts cite: `BAHDANAU_2015(place="equation 6")`.
BAHDANAU_2015 = partial(
    Source,
    paper="Bahdanau, Cho and Bengio: Neural Machine Translation by Jointly Learning to Align and Translate",
    year=2015,
)
LUONG_2015 = partial(
    Source,
    paper="Luong, Pham and Manning: Effective Approaches to Attention-based Neural Machine Translation",
    year=2015,
)
SALIMANS_2016 = partial(
    Source,
    paper="Salimans and Kingma: Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep "
    "Neural Networks",
    year=2016,
)
XU_2015 = partial(
    Source, paper="Xu et al.: Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", year=2015
)
YANG_2016 = partial(Source, paper="Yang et al.: Hierarchical Attention Networks for Document Classification", year=2016)
ZHOU_2016 = partial(
    Source,
    paper="Zhou et al.: Attention-Based Bidirectional Long Short-Term Memory Networks for Relation Classification",
    year=2016,
)
CHOROWSKI_2015 = partial(Source, paper="Chorowski et al.: Attention-Based Models for Speech Recognition", year=2015)
SEE_2017 = partial(
    Source,
    paper="See, Liu and Manning: Get To The Point: Summarization with Pointer-Generator Networks",
    year=2017,
)
TU_2016 = partial(Source, paper="Tu et al.: Modeling Coverage for Neural Machine Translation", year=2016)
SHEN_2018 = partial(
    Source,
    paper="Shen et al.: Natural TTS Synthesis by Conditioning WaveNet on Mel Spectrogram Predictions",
    year=2018,
)
LIN_2017 = partial(Source, paper="Lin et al.: A Structured Self-attentive Sentence Embedding", year=2017)
# no paper: the first version of that package, which had these and later lost them
KERAS_ATTENTION = partial(Source, paper="Rémy: keras-attention", year=2019)
VASWANI_2017 = partial(Source, paper="Vaswani et al.: Attention Is All You Need", year=2017)
SUN_2023 = partial(
    Source, paper="Sun et al.: Retentive Network: A Successor to Transformer for Large Language Models", year=2023
)
SCHLAG_2021 = partial(
    Source, paper="Schlag, Irie and Schmidhuber: Linear Transformers Are Secretly Fast Weight Programmers", year=2021
)
WU_2019 = partial(Source, paper="Wu et al.: Pay Less Attention with Lightweight and Dynamic Convolutions", year=2019)
DAI_2019 = partial(
    Source,
    paper="Dai et al.: Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context",
    year=2019,
)
SUKHBAATAR_2019 = partial(Source, paper="Sukhbaatar et al.: Adaptive Attention Span in Transformers", year=2019)
RAFFEL_2017 = partial(
    Source, paper="Raffel et al.: Online and Linear-Time Attention by Enforcing Monotonic Alignments", year=2017
)
CHIU_2018 = partial(Source, paper="Chiu and Raffel: Monotonic Chunkwise Attention", year=2018)
ARIVAZHAGAN_2019 = partial(
    Source,
    paper="Arivazhagan et al.: Monotonic Infinite Lookback Attention for Simultaneous Machine Translation",
    year=2019,
)
HE_2019 = partial(
    Source,
    paper="He, Deng and He: Robust Sequence-to-Sequence Acoustic Modeling with Stepwise Monotonic Attention for "
    "Neural TTS",
    year=2019,
)
ZHANG_2018 = partial(
    Source,
    paper="Zhang, Ling and Dai: Forward Attention in Sequence-to-Sequence Acoustic Modeling for Speech Synthesis",
    year=2018,
)
MARTINS_2017 = partial(
    Source,
    paper="Martins and Kreutzer: Learning What's Easy: Fully Differentiable Neural Easy-First Taggers",
    year=2017,
)
MA_2019 = partial(
    Source,
    paper="Ma et al.: STACL: Simultaneous Translation with Implicit Anticipation and Controllable Latency using "
    "Prefix-to-Prefix Framework",
    year=2019,
)
MALAVIYA_2018 = partial(
    Source,
    paper="Malaviya, Ferreira and Martins: Sparse and Constrained Attention for Neural Machine Translation",
    year=2018,
)
PAULUS_2018 = partial(
    Source, paper="Paulus, Xiong and Socher: A Deep Reinforced Model for Abstractive Summarization", year=2018
)

QIU_2025 = partial(
    Source,
    paper="Qiu et al.: Gated Attention for Large Language Models: Non-linearity, Sparsity, and Attention-Sink-Free",
    year=2025,
)
SHAZEER_2020 = partial(Source, paper="Shazeer et al.: Talking-Heads Attention", year=2020)
YE_2024 = partial(Source, paper="Ye et al.: Differential Transformer", year=2024)
DEEPSEEK_2024 = partial(
    Source,
    paper="DeepSeek-AI: DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model",
    year=2024,
)
BELTAGY_2020 = partial(Source, paper="Beltagy, Peters and Cohan: Longformer: The Long-Document Transformer", year=2020)
BENGIO_2013 = partial(
    Source,
    paper="Bengio, Léonard and Courville: Estimating or Propagating Gradients Through Stochastic Neurons for "
    "Conditional Computation",
    year=2013,
)
MARTINS_2016 = partial(
    Source,
    paper="Martins and Astudillo: From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label "
    "Classification",
    year=2016,
)
CORREIA_2019 = partial(Source, paper="Correia, Niculae and Martins: Adaptively Sparse Transformers", year=2019)
JANG_2017 = partial(Source, paper="Jang, Gu and Poole: Categorical Reparameterization with Gumbel-Softmax", year=2017)
MILLER_2023 = partial(Source, paper="Miller: Attention Is Off By One", year=2023)
NICULAE_2017 = partial(
    Source,
    paper="Niculae and Blondel: A Regularized Framework for Sparse and Structured Neural Attention",
    year=2017,
)
PARMAR_2018 = partial(Source, paper="Parmar et al.: Image Transformer", year=2018)
PETERS_2019 = partial(Source, paper="Peters, Niculae and Martins: Sparse Sequence-to-Sequence Models", year=2019)
RAMAPURAM_2024 = partial(
    Source, paper="Ramapuram et al.: Theory, Analysis, and Best Practices for Sigmoid Self-Attention", year=2024
)
XIAO_2024 = partial(Source, paper="Xiao et al.: Efficient Streaming Language Models with Attention Sinks", year=2024)
ZHAO_2019 = partial(
    Source,
    paper="Zhao et al.: Explicit Sparse Transformer: Concentrated Attention Through Explicit Selection",
    year=2019,
)
KATHAROPOULOS_2020 = partial(
    Source,
    paper="Katharopoulos et al.: Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
    year=2020,
)
CHOROMANSKI_2021 = partial(Source, paper="Choromanski et al.: Rethinking Attention with Performers", year=2021)
WANG_2020 = partial(Source, paper="Wang et al.: Linformer: Self-Attention with Linear Complexity", year=2020)
XIONG_2021 = partial(
    Source, paper="Xiong et al.: Nyströmformer: A Nyström-Based Algorithm for Approximating Self-Attention", year=2021
)
ZHANG_XIONG_2018 = partial(
    Source,
    paper="Zhang, Xiong and Su: Accelerating Neural Transformer via an Average Attention Network",
    year=2018,
)
VINYALS_2015 = partial(Source, paper="Vinyals, Fortunato and Jaitly: Pointer Networks", year=2015)
GU_2016 = partial(
    Source, paper="Gu et al.: Incorporating Copying Mechanism in Sequence-to-Sequence Learning", year=2016
)
# no paper: the option `copy_attn` of that toolkit
OPENNMT = partial(Source, paper="Klein et al.: OpenNMT: Open-Source Toolkit for Neural Machine Translation", year=2017)
OKABE_2018 = partial(
    Source,
    paper="Okabe, Koshinaka and Shinoda: Attentive Statistics Pooling for Deep Speaker Embedding",
    year=2018,
)
ILSE_2018 = partial(
    Source, paper="Ilse, Tomczak and Welling: Attention-based Deep Multiple Instance Learning", year=2018
)
LEE_2019 = partial(
    Source,
    paper="Lee et al.: Set Transformer: A Framework for Attention-based Permutation-Invariant Neural Networks",
    year=2019,
)
NALLAPATI_2016 = partial(
    Source,
    paper="Nallapati et al.: Abstractive Text Summarization using Sequence-to-sequence RNNs and Beyond",
    year=2016,
)
LIBOVICKY_2017 = partial(
    Source,
    paper="Libovický and Helcl: Attention Strategies for Multi-Source Sequence-to-Sequence Learning",
    year=2017,
)
SEO_2017 = partial(Source, paper="Seo et al.: Bidirectional Attention Flow for Machine Comprehension", year=2017)
XIONG_2017 = partial(
    Source, paper="Xiong, Zhong and Socher: Dynamic Coattention Networks for Question Answering", year=2017
)
LU_2016 = partial(
    Source, paper="Lu et al.: Hierarchical Question-Image Co-Attention for Visual Question Answering", year=2016
)
TU_2017 = partial(Source, paper="Tu et al.: Context Gates for Neural Machine Translation", year=2017)
BATTENBERG_2020 = partial(
    Source,
    paper="Battenberg et al.: Location-Relative Attention Mechanisms for Robust Long-Form Speech Synthesis",
    year=2020,
)
CHILD_2019 = partial(Source, paper="Child et al.: Generating Long Sequences with Sparse Transformers", year=2019)
DANILUK_2017 = partial(
    Source, paper="Daniluk et al.: Frustratingly Short Attention Spans in Neural Language Modeling", year=2017
)
DESPLANQUES_2020 = partial(
    Source,
    paper="Desplanques, Thienpondt and Demuynck: ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation "
    "in TDNN Based Speaker Verification",
    year=2020,
)
DOZAT_2017 = partial(
    Source, paper="Dozat and Manning: Deep Biaffine Attention for Neural Dependency Parsing", year=2017
)
GARDNER_2018 = partial(
    Source, paper="Gardner et al.: AllenNLP: A Deep Semantic Natural Language Processing Platform", year=2018
)
GEMMA_2024 = partial(Source, paper="Gemma Team: Gemma 2: Improving Open Language Models at a Practical Size", year=2024)
NADARAYA_1964 = partial(Source, paper="Nadaraya: On Estimating Regression", year=1964)
GRAVES_2013 = partial(Source, paper="Graves: Generating Sequences With Recurrent Neural Networks", year=2013)
GRAVES_2014 = partial(Source, paper="Graves, Wayne and Danihelka: Neural Turing Machines", year=2014)
KIM_2021 = partial(Source, paper="Kim, Papamakarios and Mnih: The Lipschitz Constant of Self-Attention", year=2021)
PRESS_2022 = partial(
    Source,
    paper="Press, Smith and Lewis: Train Short, Test Long: Attention with Linear Biases Enables Input Length "
    "Extrapolation",
    year=2022,
)
# no paper: the functions from which its users put masks and biases together
PYTORCH_2024 = partial(Source, paper="PyTorch: torch.nn.attention.flex_attention and attention-gym", year=2024)
RAFFEL_2020 = partial(
    Source,
    paper="Raffel et al.: Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    year=2020,
)
SHAW_2018 = partial(
    Source, paper="Shaw, Uszkoreit and Vaswani: Self-Attention with Relative Position Representations", year=2018
)
AINSLIE_2023 = partial(
    Source,
    paper="Ainslie et al.: GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints",
    year=2023,
)
HENRY_2020 = partial(Source, paper="Henry et al.: Query-Key Normalization for Transformers", year=2020)
SHAZEER_2019 = partial(Source, paper="Shazeer: Fast Transformer Decoding: One Write-Head is All You Need", year=2019)
WATANABE_2018 = partial(Source, paper="Watanabe et al.: ESPnet: End-to-End Speech Processing Toolkit", year=2018)
# our own; what of it is not new stands on that page
HEEDFUL_2026 = partial(Source, paper="heedful: docs/sine_attention.md", year=2026)


def mechanism(source: Source) -> Callable[[Builder], Builder]:
    """Mark a builder function as a named mechanism, with its source: it gets its line in the catalogue.

    >>> @mechanism(Source("Somebody: Something", "equation 1", 2015))
    ... def SomeAttention(): ...
    >>> SomeAttention.source.year
    2015
    """

    def mark(builder: Builder) -> Builder:
        builder.source = source  # pyright: ignore[reportFunctionMemberAccess]
        return builder

    return mark
