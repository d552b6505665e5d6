"""Images in: the catalogue, folders and zips, the offline world, batches and augmentation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
