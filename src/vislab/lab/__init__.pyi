from .bench import Lab as Lab
from .predicting import predict as predict
from .testing import Outcome as Outcome
from .recipe import Recipe as Recipe
from .running import Conditions as Conditions
from .running import execute as execute
