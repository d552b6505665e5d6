from .comparison import compare as compare
from .learning_curves import curves_of as curves_of
from .learning_curves import show_curves as show_curves
from .report import report as report
from .testing import run_test as run_test
