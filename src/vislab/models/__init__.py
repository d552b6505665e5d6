"""Networks as plain torch.nn.Module; they know no loss and no data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
