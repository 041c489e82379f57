"""Whole numbers of smallest units as people read them, and never through a float."""


def from_units(amount: int, decimals: int) -> str:
    """A whole number of 10^-decimals as a decimal number without needless zeros."""
    sign = "-" if amount < 0 else ""
    digits = str(abs(amount)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def shown(amount: int, decimals: int, symbol: str) -> str:
    """'0.5 ETH'."""
    return f"{from_units(amount, decimals)} {symbol}"
