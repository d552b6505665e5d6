from .classification import Outcome as Outcome
from .comparison import compare as compare
