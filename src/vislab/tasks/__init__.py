"""One learning problem each, as a LightningModule: a model and a loss meet here."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
