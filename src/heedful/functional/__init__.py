"""Pure tensor functions shared by several mechanisms."""

from .additive import AdditiveMemory as AdditiveMemory
from .additive import additive_attention as additive_attention
from .additive import additive_scores as additive_scores
from .additive import remember_keys as remember_keys
from .additive import remember_values as remember_values
from .addressing import circular_shift as circular_shift
from .addressing import interpolate as interpolate
from .addressing import sharpen as sharpen
from .cross_entropy import Loss as Loss
from .cross_entropy import TokenTarget as TokenTarget
from .cross_entropy import cross_entropy as cross_entropy
from .cross_entropy import output_cross_entropy as output_cross_entropy
from .dot_product import dot_product_attention as dot_product_attention
from .masks import align_left as align_left
from .masks import check_mask as check_mask
from .masks import hide as hide
from .masks import last_visible as last_visible
from .masks import padding_mask as padding_mask
from .masks import visible_keys as visible_keys
from .precision import widen as widen
from .products import linear as linear
from .products import onednn_product as onednn_product
from .products import suits_onednn as suits_onednn
from .softmax import masked_log_softmax as masked_log_softmax
from .softmax import masked_softmax as masked_softmax
