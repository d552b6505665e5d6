from .bench import Lab as Lab
from .recipe import Recipe as Recipe
from .running import Conditions as Conditions
from .running import execute as execute
