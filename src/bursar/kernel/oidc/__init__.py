"""Bearer tokens of identity providers: which a business accepts, whether one is genuine, and whom it names.

What it is not: it signs nobody in by password and issues no token.

Invariants:
- an algorithm is pinned by the business; a token never chooses its own, and no key comes from a token;
- a token is accepted only if it was made for us: its audience, or the party it was made for, is the configured one;
- a person is (issuer, subject), and never an e-mail address;
- the network is asked outside any transaction, and only at public addresses unless configured;
- who was deactivated is refused within two seconds, however genuine the token.
"""

from bursar.kernel.oidc.recognising import Tokens
from bursar.kernel.oidc.verifying import TokenExpired, TokenRefused

__all__ = ["TokenExpired", "TokenRefused", "Tokens"]
