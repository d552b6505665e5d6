from .bench import Lab as Lab
from .predicting import predict as predict
from .recipe import Recipe as Recipe
from .running import Conditions as Conditions
from .running import execute as execute
from .testing import Outcome as Outcome
