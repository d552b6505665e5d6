from .classify import Classify as Classify
from .optim import Optim as Optim
