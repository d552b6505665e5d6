from .style import content_loss as content_loss
from .style import gram_matrix as gram_matrix
from .style import style_loss as style_loss
from .style import tv_loss as tv_loss
