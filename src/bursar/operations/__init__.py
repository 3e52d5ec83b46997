"""Operations: what keeps Bursar alive and proves that it is right.

What it is: the invariants and the three ways to check them (`verify` everything, `sweep` what changed, `simulate`
a hostile world), the fingerprint that says whether two installations hold the same truth, and the demo.
What it is not: it changes no money. Only the sweep writes, and only what it last saw.

Read `invariants` to learn what is promised, `simulate` to see the promise attacked.
"""
