"""What Tensors can do.  Each file holds one family, forward above backward.

``npnn.ops.table`` is the one place that says under which names an operation is offered: as a function, as a
method, as an operator, and in place.
"""
