from .answers import Answer as Answer
from .answers import Kind as Kind
from .answers import register as register
from .networks import network_of as network_of
from .predicting import predict as predict
from .predictor import Predictor as Predictor
from .predictor import predictor as predictor
