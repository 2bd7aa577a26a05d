"""One image: decoded, resized, cropped, viewed."""
