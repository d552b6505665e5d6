from .feature_maps import as_pictures as as_pictures
from .feature_maps import feature_maps as feature_maps
from .kernels import kernel_magnitudes as kernel_magnitudes
from .kernels import kernels as kernels
from .kernels import weights_as_pictures as weights_as_pictures
from .taps import tap as tap
