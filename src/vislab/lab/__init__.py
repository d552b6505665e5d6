"""The bench: one run open on it, trained, tested, drawn and filed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
