"""Claims about convolutional networks, each a command that ends in a verdict. See README.md."""
