from .explanations import explain_images as explain_images
