from .augment import Augment as Augment
from .batches import Batch as Batch
from .batches import Batches as Batches
from .batches import in_order as in_order
from .batches import preview as preview
from .pictures import Pictures as Pictures
from .pictures import pictures as pictures
