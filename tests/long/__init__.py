"""What takes longer than a test: requests by the ten thousand, rollbacks by the dozen.

    place ──▶ canary ────▶ figures ──▶ .cache/long/*.json
       └────▶ rollbacks ─────┘

Nothing is asserted in the middle; what was seen is written down, and judged at the end.
"""
