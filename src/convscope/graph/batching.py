"""How many images, or units, are computed at once."""

LARGEST_BATCH = 64
# 256 MB in float32, which a laptop has to spare beside a network and its images.
NUMBERS_AT_ONCE = 2**26
# About a third of a second on a CPU, so that another answer does not wait long.
MULTIPLY_ADDS_AT_ONCE = 20_000_000_000


def batch_in_memory(numbers: int, *, least: int = 1, most: int | None = None) -> int:
    """How many items fit the memory that is set aside, when each needs so many numbers.

    >>> batch_in_memory(2**24), batch_in_memory(2**30, least=2), batch_in_memory(1, most=64)
    (4, 2, 64)
    """
    count = NUMBERS_AT_ONCE // max(1, numbers)
    return max(least, count if most is None else min(most, count))


def batch_in_turn(multiply_adds: int, *, least: int = 1) -> int:
    """How many images run before other work has its turn, when each needs so many multiply-adds.

    >>> batch_in_turn(10_000_000_000), batch_in_turn(1)
    (2, 64)
    """
    return max(least, min(LARGEST_BATCH, MULTIPLY_ADDS_AT_ONCE // max(1, multiply_adds)))
