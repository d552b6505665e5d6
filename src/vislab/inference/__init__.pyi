from .classes import predict as predict
from .predictor import Subject as Subject
from .predictor import subject as subject
