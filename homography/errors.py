class CalibrationError(ValueError):
    """Point pairs, a matrix or a lens from which no usable ground plane can be made."""
