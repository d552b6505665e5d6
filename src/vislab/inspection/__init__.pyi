from .explanations import explain_pictures as explain_pictures
