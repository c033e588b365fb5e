"""Finished rows in the forms in which others read them.

Here belong file formats and the parts that rows are divided into. Immutable releases of them
stand in `targen.release`; making the rows belongs to the operators.
"""
