"""The few shapes of query that the boards are made of."""

from __future__ import annotations

WINDOW = "$__rate_interval"  # Grafana's own: never shorter than four scrapes


def rate(metric: str, by: str, where: str = "") -> str:
    """How many a second of a counter, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[{WINDOW}]))"


def total(gauge: str, by: str, where: str = "") -> str:
    """A gauge, summed by labels."""
    return f"sum by ({by}) ({gauge}{{{where}}})"


def quantile(q: float, histogram: str, by: str, where: str = "") -> str:
    """A quantile of a histogram, by labels."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({q:g}, {rate(f'{histogram}_bucket', labels, where)})"


def mean(histogram: str, by: str, where: str = "") -> str:
    """The mean of a histogram, by labels."""
    return f"{rate(f'{histogram}_sum', by, where)} / {rate(f'{histogram}_count', by, where)}"


def share(part: str, whole: str, by: str) -> str:
    """The share of a counter's events among another's, by labels; 0 while the first has none.

    Args:
        part: counter of the part, with its matchers in braces.
        whole: counter of the whole, likewise.
        by: labels that are left.
    """
    of_part, of_whole = (f"sum by ({by}) (rate({counter}[{WINDOW}]))" for counter in (part, whole))
    return f"({of_part} or 0 * {of_whole}) / {of_whole}"


def share_below(bound: str, histogram: str, by: str, where: str = "") -> str:
    """The share of a histogram's observations up to a bucket's bound, by labels.

    Args:
        bound: of the bucket, written as it is scraped.
        histogram: its name.
        by: labels that are left.
        where: matchers.
    """
    bucket = ",".join(filter(None, (where, f'le="{bound}"')))
    return f"{rate(f'{histogram}_bucket', by, bucket)} / {rate(f'{histogram}_count', by, where)}"
