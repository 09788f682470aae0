"""Encoders, decoders and what they make together."""

from .decoders import Decoder as Decoder
from .decoders import DecoderState as DecoderState
from .decoders import Encoded as Encoded
from .decoders import LookBetweenDecoder as LookBetweenDecoder
from .decoders import LookThenUpdateDecoder as LookThenUpdateDecoder
from .decoders import PlainDecoder as PlainDecoder
from .decoders import UpdateThenLookDecoder as UpdateThenLookDecoder
from .encoders import EncoderOutput as EncoderOutput
from .encoders import RecurrentEncoder as RecurrentEncoder
from .language_model import LanguageModel as LanguageModel
from .language_model import LanguageState as LanguageState
from .language_model import SelfLookDecoder as SelfLookDecoder
from .language_model import SelfLookState as SelfLookState
from .protocol import StepModel as StepModel
from .protocol import StepOutput as StepOutput
from .seq2seq import OutputLayer as OutputLayer
from .seq2seq import Seq2Seq as Seq2Seq
from .sequence_classifier import Prediction as Prediction
from .sequence_classifier import SequenceClassifier as SequenceClassifier
from .sequence_classifier import count_parameters as count_parameters
from .sequence_classifier import predict_all as predict_all
from .transformer import TransformerDecoder as TransformerDecoder
from .transformer import TransformerDecoderLayer as TransformerDecoderLayer
from .transformer import TransformerEncoder as TransformerEncoder
from .transformer import TransformerEncoderLayer as TransformerEncoderLayer
from .transformer import TransformerState as TransformerState
