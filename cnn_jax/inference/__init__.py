"""A trained net in use: loaded from a run or a folder of weights, without the data it learnt."""
