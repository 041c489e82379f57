"""Everything that must have happened before the machine may say that all is well."""
from collections import Counter
def missing(fired): return []
def table(fired): return "\n".join(f"{n:8} {k}" for k,n in sorted(fired.items()))
