from .all_cnn import AllCNN as AllCNN
from .by_name import create as create
from .by_name import register as register
from .convnet import ConvNet as ConvNet
from .resnet import resnet18 as resnet18
