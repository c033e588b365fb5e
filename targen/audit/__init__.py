"""Audits: where a row comes from, told in words, and whether it is true, recomputed.

Here belongs everything behind `targen audit`. Walking the tables is `targen.lineage`, reading a
stored completion `targen.llm.kept`, the record of what files were `targen.digests`.
"""
