"""The methods of `explain` applied to images, each map measured before it is believed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
