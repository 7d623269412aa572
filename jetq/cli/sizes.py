"""
sizes: amounts of memory as people write them: ``512M``, ``1.5G``.
"""

from jetq.model.quantity import size


def parse_size(option: str, text: str | None) -> int | None:
    """
    Return a number of bytes; None for None.

    Args:
        option: Whose value it is, for the error.
        text: A number with a unit: ``K``, ``M`` or ``G``, each 1,024 times the one before; ``MB`` is ``M``.

    Raises:
        InvalidSettingError: It is none.
    """
    if text is None:
        return None
    return size(option, text)
