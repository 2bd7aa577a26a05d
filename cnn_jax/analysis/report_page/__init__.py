"""One page of HTML about one run, or about several beside each other, that needs no network.

`run_folder` reads what a run has left, `svg` draws, `markup` writes, `sections`, `predictions` and
`comparison` say it, and `page` puts it together. Names of classes, files and commands are a
stranger's: all text goes through `markup.text`.
"""
