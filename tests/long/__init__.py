"""What takes longer than a test: requests by the ten thousand, rollbacks and verdicts by the dozen.

    place ──▶ canary ────▶ figures ──▶ .cache/long/*.json ──▶ page
       ├────▶ rollbacks ─────┤                ▲                ▲
       ├────▶ verdicts ──────┘                │                │
       │    cases ─┴────── what is predicted ─┼────────────────┘
       ├────▶ swaps ──────┐                   │
       ├────▶ weights ────┼─▶ model_figures ──┘
       └────▶ pairs ──────┘

Nothing is asserted in the middle; what was seen is written down, and judged at the end.
"""
