"""A task on a split: what it comes to, how sure that is, and the figures to look at."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
