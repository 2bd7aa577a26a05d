"""What a net is and does: layers and operations, receptive fields, published figures."""
