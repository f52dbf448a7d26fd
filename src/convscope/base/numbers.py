"""Numbers as text: one function for each format of tables, pictures and worked sums."""

_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def number(value: float) -> str:
    """Three significant digits, in as few characters as possible: tables and pictures.

    >>> number(1234.5), number(0.001234), number(1e9), number(0.0)
    ('1,234', '0.00123', '1e9', '0')
    """
    if 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    if "e" in text:
        digits, _, power = text.partition("e")
        text = f"{digits}e{int(power)}"
    return text


def signed(value: float, digits: int = 3) -> str:
    """A sign, and as many significant digits.

    >>> signed(0.51234), signed(-12.0), signed(3.14159, 5)
    ('+0.512', '-12', '+3.1416')
    """
    return f"{value:+.{digits}g}"


def six_digits(value: float) -> str:
    """Six significant digits, with thousands separators.

    >>> six_digits(1234.5678), six_digits(-2.0), six_digits(1 / 3)
    ('1,234.57', '-2', '0.333333')
    """
    return f"{value:,.6g}"


def plain(value: float) -> str:
    """All digits of a whole number below 10^9, six significant digits of any other.

    >>> plain(12345678.0), plain(1 / 3), plain(1e9)
    ('12345678', '0.333333', '1e+09')
    """
    whole = float(value).is_integer() and abs(value) < 1e9
    return str(int(value)) if whole else f"{value:.6g}"


def count(value: int) -> str:
    """All digits, with thousands separators; a dash for 0.

    >>> count(138357544), count(0)
    ('138,357,544', '-')
    """
    return f"{value:,}" if value else "-"


def count_in_units(value: int) -> str:
    """As a multiple of 10^6 (M), 10^9 (G), 10^12 (T) or 10^15 (P) from 10^6 on.

    >>> count_in_units(999999), count_in_units(105226702848)
    ('999,999', '105.2 G')
    """
    for unit, letter in _UNITS:
        if value >= unit:
            return f"{value / unit:,.1f} {letter}"
    return f"{value:,}"


def bytes_in_units(value: int) -> str:
    """As a multiple of bytes, kB (1,000), MB or GB; a dash for 0.

    >>> bytes_in_units(999), bytes_in_units(12845056), bytes_in_units(0)
    ('999 B', '12.8 MB', '-')
    """
    for unit, name in _BYTES:
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value} B" if value else "-"


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes.

    >>> duration(95), duration(7260)
    ('1:35', '2h01')
    """
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}"
