"""Queries of jobs, nodes and rejections: ``filters`` turns a filter of ``model`` into SQL, ``jobs`` and ``nodes`` read rows.

``routing`` decides whether the database or the columns in memory (``columns``) answer.
"""
