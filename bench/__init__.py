"""The benchmark: real servers, real processes, the figures that the project promises.

``python -m bench`` runs all rows; each is a module of ``bench.rows``. Results go to the terminal and to ``var/bench``.
"""
