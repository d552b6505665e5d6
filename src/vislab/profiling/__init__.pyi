from .costs import parameters as parameters
