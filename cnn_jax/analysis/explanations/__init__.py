"""Why a net gives an answer, as pictures: which part of the image, by which filters.

Every function takes a net (`model`, `variables`) and images as it sees them, float32 [B, H, W, C],
in evaluation mode. A method is worth its pictures only where they change with the weights:
`sanity.check` says whether they do.
"""
